"""llama-server's own routes."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["llama-server"])
