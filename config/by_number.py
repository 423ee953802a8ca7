"""Secrets and tokens of several numbers in one setting: ``PHONE_NUMBER_ID=token``. Pure: no I/O."""


def tokens_by_number(text: str) -> dict[str, str]:
    """Return phone_number_id → its token; under "" the one of all others."""
    tokens = {}
    for part in text.replace("\n", ",").split(","):
        number, equals, token = part.strip().partition("=")
        if equals and number.isdecimal():
            tokens[number] = token.strip()
        elif part.strip():
            tokens[""] = part.strip()
    return tokens


def check_tokens(text: str) -> str:
    """Return tokens as they were given; ValueError for what no header can carry, which an error would quote."""
    if not all(
        token.isascii() and token.isprintable() and " " not in token
        for token in tokens_by_number(text).values()
    ):
        raise ValueError(
            "holds characters that no token has: copy it again, without spaces and line breaks inside"
        )
    return text


def without_number(secret: str) -> str:
    """Return a secret that may be given for a number, as tokens are."""
    number, _, rest = secret.partition("=")
    return rest.strip() if rest.strip() and number.strip().isdecimal() else secret
