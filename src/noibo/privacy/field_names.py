"""Names of fields in the bodies of all APIs that noibo speaks, by what they hold."""

from __future__ import annotations

import re
from typing import Final


def _named(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What a model reads last. It is walked last, so that placeholders before it keep their numbers
# when a turn is added.
CONVERSATION: Final = _named("choices input message messages output prompt")
# Words and ids of the protocol. They are looked through all the same, for who asks writes them;
# what is found there becomes a placeholder as a whole.
PLAIN: Final = _named(
    """
    call_id citation_mode conversation created_at detail done_reason effort encoding_format
    encrypted_content finish_reason format id include item_id keep_alive media_type mime_type
    modalities mode model object phase previous_response_id reasoning_effort response_id role
    service_tier signature status stop_reason summary_type system_fingerprint thought_signature
    tool_call_id tool_choice tool_use_id truncation ttl type verbosity
    """
)
# What the words are: none has digits, but for the shortest.
WORD: Final = re.compile(r"[\w./:+=-]{0,8}|[A-Za-z_./:+=-]{0,40}", re.ASCII)
# What a provider alone can read.
OPAQUE: Final = _named("encrypted_content signature thought_signature")
# Places that take letters, digits, - and _ alone.
BARE: Final = _named("name prompt_cache_key safety_identifier user user_id")
# Data, with names and numbers of its own.
DATA: Final = _named(
    """
    action arguments documents input_schema metadata outputs parameters partial_json
    properties schema variables
    """
)
# Objects of the APIs, which have texts further down.
PROTOCOL: Final = _named(
    """
    choices citations content content_block custom delta file function function_call functions
    image_url input input_audio input_file input_image instructions item json_schema message
    messages options output part parts prediction prompt reasoning response response_format
    results source stop stream_options suffix summary system template text thinking tool_calls
    tool_choice tools
    """
)
# Files, in base64.
FILES: Final = _named("audio image images input_audio video video_url")
# What lies elsewhere, where a model is to look at it; of the others, their `url`.
ELSEWHERE: Final = _named("file_id file_uri file_url image_url video_url")
WITH_ADDRESS: Final = _named("file image image_url source video_url")
# Texts that may be sent as numbers.
TOKENS: Final = _named("context input prompt")
# Objects under these names are data, and lists are not.
DATA_IF_AN_OBJECT: Final = _named("format input")
# Lists that are the APIs' own, besides those of PROTOCOL.
LISTS: Final = FILES | TOKENS | PLAIN
# Numbers that are the protocol's, as large as they may be: counts, times, seeds.
NUMBERS: Final = re.compile(
    r"seed|created|timestamp|sequence_number|.*_(?:tokens|duration|at|count|ms|ns|s)"
)
TOKEN: Final = re.compile(r"\d{1,6}")  # a name of a field in logit_bias
