"""What clients that take a class of pydantic's are asked for."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class City(BaseModel):
    """A city, and nothing else: a small model goes on with what it makes up."""

    model_config = ConfigDict(extra="forbid")

    city: str = Field(max_length=40)
    people: int = Field(ge=0, le=99_999_999)
