"""Code as HTML: comments, strings, keywords, numbers and names of members in spans, all else as it is."""

import re

from markupsafe import Markup, escape

DOUBLE, SINGLE = r'"(?:\\.|[^"\\\n])*"', r"'(?:\\.|[^'\\\n])*'"
NUMBER = r"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w.-])"
HASH, SLASHES = r"(?<![\w$&/])#[^\n]*", r"(?<!:)//[^\n]*"


def _words(*words: str) -> str:
    return rf"(?<![\w.$-])(?:{'|'.join(words)})(?![\w-])"


# For each language what is what; the first that fits wins. The names are the classes of the spans.
RULES: dict[str, dict[str, str]] = {
    "json": {"a": DOUBLE + r"(?=\s*:)", "s": DOUBLE, "k": _words("true", "false", "null"), "n": NUMBER},
    "python": {
        "c": HASH,
        "s": rf'[fbr]?"""[\s\S]*?"""|[fbr]?{DOUBLE}|[fbr]?{SINGLE}',
        "k": _words(
            *(
                "and",
                "as",
                "assert",
                "break",
                "class",
                "continue",
                "def",
                "del",
                "elif",
                "else",
                "except",
                "for",
            ),
            *("finally", "from", "if", "import", "in", "is", "lambda", "None", "not", "or", "pass", "raise"),
            *("return", "True", "False", "try", "while", "with", "yield"),
        ),
        "a": r"(?<![\w.])@\w[\w.]*",
        "n": NUMBER,
    },
    "sh": {
        "c": HASH,
        "s": r"'[^']*'|" + DOUBLE,
        "a": r"\$\w+|(?<!\S)--?[a-zA-Z][\w-]*",
        "k": r"(?m)(?:^|(?<=\| )|(?<=\$\())(?:curl|export|shardapi|pip|python3)(?=\s)",
    },
    "powershell": {
        "c": HASH,
        "s": r"'(?:''|[^'])*'|" + DOUBLE,
        "a": r"\$[\w:]+|(?<!\S)-[A-Za-z]+",
        "k": _words("while", "if", "else", "foreach", "in", "param", "function", "Invoke-RestMethod"),
        "n": NUMBER,
    },
    "js": {
        "c": SLASHES,
        "s": rf"{DOUBLE}|{SINGLE}|`[^`]*`",
        "k": _words(
            *(
                "async",
                "await",
                "const",
                "else",
                "for",
                "function",
                "if",
                "let",
                "new",
                "of",
                "return",
                "true",
            ),
            *("false", "try", "catch", "throw", "while"),
        ),
        "n": NUMBER,
    },
    "toml": {
        "c": HASH,
        "a": r"(?m)^\[[^\]\n]*\]|^[\w.-]+(?=\s*=)",
        "s": rf"{DOUBLE}|{SINGLE}",
        "k": _words("true", "false"),
        "n": NUMBER,
    },
    "http": {"a": r"(?m)^[\w-]+(?=:)", "k": r"(?m)^(?:GET|POST|PATCH|DELETE)\b"},
    "html": {"c": r"<!--[\s\S]*?-->", "s": DOUBLE, "k": r"</?[a-z][\w-]*|/?>", "a": r"\b[a-z-]+(?==)"},
}
ALIASES = {"bash": "sh", "javascript": "js", "py": "python", "css": "js", "ps1": "powershell"}
PATTERNS = {
    language: re.compile(
        "|".join(f"(?P<{name}>{rule.replace('(?m)', '')})" for name, rule in rules.items()), re.M
    )
    for language, rules in RULES.items()
}


def highlight(code: str, language: str) -> Markup:
    """Code with its spans; plain where the language is not one of ours."""
    pattern = PATTERNS.get(ALIASES.get(language, language))
    if pattern is None:
        return escape(code)
    made, place = [], 0
    for match in pattern.finditer(code):
        made.append(escape(code[place : match.start()]))
        made.append(Markup(f'<b class="{match.lastgroup}">{escape(match[0])}</b>'))
        place = match.end()
    made.append(escape(code[place:]))
    return Markup("").join(made)
