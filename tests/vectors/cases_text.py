"""Steps 1 to 8: the text of a token, its header, its JSON, its claims, and the terms it meets."""

import hashlib
import hmac
from dataclasses import replace
from typing import Any, Final

from tests.vectors.case import Cases, rows
from tests.vectors.parties import (
    AGENTS,
    API,
    AS,
    AS_KEY,
    DROP,
    FILES,
    IDP,
    NOW,
    OTHER_AS,
    OTHER_AS_KEY,
    P256_ORDER,
    USER,
    Draft,
    Members,
    act,
    b64,
    ec_key,
    ed_key,
    encode,
    holder,
    jti,
    rsa_key,
    seal,
)

__all__ = ["claims", "first_failure", "header", "json_text", "jws", "terms"]

BASE: Final = Draft()
PLAIN_AS: Final[Members] = {"issuers": [AS, OTHER_AS]}


def _padded(length: int) -> Draft:
    """A token of exactly that many characters: an ignored claim makes it longer."""
    room = length - len(BASE.token())
    for padding in range(max(room * 3 // 4 - 16, 0), room):
        draft = Draft(claims={"padding": "x" * padding})
        if len(draft.token()) == length:
            return draft
    raise ValueError(length)


def _loose(part: str) -> str:
    """The same bytes in another base64url text: an unused bit of the last character set."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return part[:-1] + letters[letters.index(part[-1]) + 1]


def _until_remainder(part: int, remainder: int) -> Draft:
    """A token whose part of that index has a length of that remainder modulo 4."""
    for padding in range(4):
        member = "x" * padding
        draft = Draft(claims={"padding": member}) if part else Draft(header={"kid": f"k{member}"})
        if len(draft.token().split(".")[part]) % 4 == remainder:
            return draft
    raise ValueError(remainder)


def jws() -> Cases:
    """Step 1, and the signature of step 4."""
    cases = Cases(about="Size, alphabet, base64url and signature of the compact JWS (steps 1 and 4)", step=1)
    token = BASE.token()
    head, body, sign = token.split(".")
    cases.accept("base", "The base token: a root and three hops, plain", BASE)
    for name, comment, text, step in (
        ("empty", "No text at all", "", 1),
        ("one-part", "No dots", head, 1),
        ("two-parts", "No signature part", f"{head}.{body}", 1),
        ("four-parts", "One part too many", f"{token}.{sign}", 1),
        ("trailing-dot", "A fourth, empty part", f"{token}.", 1),
        ("unsigned", "An empty signature", f"{head}.{body}.", 1),
        ("no-header", "An empty header", f".{body}.{sign}", 1),
        (
            "no-payload",
            "An empty payload, truly signed: canonical, and no JSON text",
            f"{head}..{b64(AS_KEY.sign(f'{head}.'.encode()))}",
            3,
        ),
        ("leading-space", "White space before", f" {token}", 1),
        ("trailing-newline", "White space behind", f"{token}\n", 1),
        ("inner-newline", "White space within", f"{head}.{body[:60]}\n{body[60:]}.{sign}", 1),
        ("padded", "Base64 padding", f"{head}.{body}.{sign}==", 1),
        ("nul", "A character outside of the alphabet", f"{head}.{body[:8]}\x00{body[9:]}.{sign}", 1),
        ("standard-alphabet", "The alphabet of RFC 4648 s4: a slash", f"{head}.{body[:8]}/{body[9:]}.{sign}", 1),
        ("plus", "The alphabet of RFC 4648 s4: a plus", f"{head}.{body[:8]}+{body[9:]}.{sign}", 1),
        ("not-ascii", "A letter that is not ASCII", f"{head}.{body[:8]}\u00e9{body[9:]}.{sign}", 1),
        ("fullwidth", "A full-width letter", f"{head}.{body[:8]}\uff21{body[9:]}.{sign}", 1),
        (
            "json-serialization",
            "The JSON serialization of RFC 7515 s7.2.2",
            encode({"protected": head, "payload": body, "signature": sign}).decode(),
            1,
        ),
        ("signature-tail-bits", "The signature in other than its canonical text", f"{head}.{body}.{_loose(sign)}", 1),
        ("signature-one-over", "A part of 4n + 1 characters", f"{head}.{body}.{sign}AAA", 1),
    ):
        cases.refuse(name, comment, BASE, "malformed", token=text, step=step)
    for part, where in ((0, "header"), (1, "payload")):
        for remainder in (2, 3):
            parts = _until_remainder(part, remainder).token().split(".")
            parts[part] = _loose(parts[part])
            parts[2] = b64(AS_KEY.sign(".".join(parts[:2]).encode()))
            comment = (
                f"The {where} in other than its canonical text, truly signed so ({6 - 2 * (remainder - 1)} unused bits)"
            )
            cases.refuse(f"{where}-tail-bits-{remainder}", comment, BASE, "malformed", token=".".join(parts))
    cases.accept("size-limit", "Exactly 16,384 characters", _padded(16384))
    cases.refuse("over-size-limit", "One more", _padded(16385), "too_large", step=1)
    cases.refuse(
        "over-size-limit-and-no-jws", "Size comes before alphabet", BASE, "too_large", step=1, token=" " * 16385
    )
    tight = {"max_token_bytes": len(token)}
    cases.accept("own-size-limit", "A verifier with a lower limit, just met", BASE, expect=tight)
    cases.refuse(
        "over-own-size-limit",
        "The same, one less",
        BASE,
        "too_large",
        step=1,
        expect={"max_token_bytes": len(token) - 1},
    )
    for number, reason in ((60, "malformed"), (61, "too_large")):
        cases.refuse(
            f"size-in-code-points-{number}",
            f"{number} code points, {2 * number} of UTF-16, {4 * number} bytes of UTF-8, where 60 are allowed",
            BASE,
            reason,
            step=1,
            token="\U0001f600" * number,
            expect={"max_token_bytes": 60},
        )
    raw = AS_KEY.sign(f"{head}.{body}".encode())
    high = raw[:32] + (P256_ORDER - int.from_bytes(raw[32:])).to_bytes(32)
    cases.accept(
        "es256-high-s",
        "The other of the two signatures that ES256 allows (n - s)",
        BASE,
        token=f"{head}.{body}.{b64(high)}",
    )
    over = raw[:32] + b"\xff" * 32
    for name, comment, made in (
        ("es256-bit-flipped", "One bit of the signature changed", bytes([raw[0] ^ 1]) + raw[1:]),
        ("es256-zero", "r and s zero", bytes(64)),
        ("es256-s-zero", "s zero", raw[:32] + bytes(32)),
        ("es256-s-too-large", "s beyond the order", over),
        ("es256-63-bytes", "A byte short", raw[:-1]),
        ("es256-65-bytes", "A byte over", raw + b"\x00"),
        ("es256-der", "In DER instead of r and s side by side", _der(raw)),
        ("es256-by-another", "Made by another key", ec_key("thief").sign(f"{head}.{body}".encode())),
        ("es256-of-another-text", "A true signature over another payload", AS_KEY.sign(f"{head}.{body}A".encode())),
    ):
        cases.refuse(name, comment, BASE, "bad_signature", token=f"{head}.{body}.{b64(made)}")
    edwards = Draft(key=ed_key("service-ed"))
    cases.accept("ed25519", "Signed with Ed25519", edwards)
    head, body, _ = edwards.token().split(".")
    raw = edwards.key.sign(f"{head}.{body}".encode())
    order = 2**252 + 27742317777372353535851937790883648493
    above = raw[:32] + (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")
    cases.refuse(
        "ed25519-s-plus-order",
        "S plus the order of the group",
        edwards,
        "bad_signature",
        token=f"{head}.{body}.{b64(above)}",
    )
    cases.refuse("ed25519-zero", "Zeros", edwards, "bad_signature", token=f"{head}.{body}.{b64(bytes(64))}")
    rsa = Draft(key=rsa_key("service-rsa"))
    cases.accept("rs256", "Signed with RS256", rsa)
    head, body, _ = rsa.token().split(".")
    raw = rsa.key.sign(f"{head}.{body}".encode())
    cases.refuse(
        "rs256-bit-flipped",
        "One bit changed",
        rsa,
        "bad_signature",
        token=f"{head}.{body}.{b64(raw[:-1] + bytes([raw[-1] ^ 1]))}",
    )
    cases.refuse(
        "rs256-byte-over", "A zero byte before it", rsa, "bad_signature", token=f"{head}.{body}.{b64(bytes(1) + raw)}"
    )
    return cases


def _der(raw: bytes) -> bytes:
    numbers = []
    for half in (raw[:32], raw[32:]):
        number = half.lstrip(b"\x00")
        number = b"\x00" + number if number[0] & 0x80 else number
        numbers.append(bytes([2, len(number)]) + number)
    return bytes([0x30, sum(map(len, numbers))]) + b"".join(numbers)


def header() -> Cases:
    """Step 2, and `kid` of step 4."""
    cases = Cases(about="The header, and the key that it names (steps 2 and 4)", step=2)
    cases.accept("header", "The base token", BASE)
    for typ in ("AT+JWT", "application/at+jwt", "Application/At+Jwt"):
        cases.accept(f"typ-{typ.replace('/', '-')}", "Another spelling of the typ", Draft(header={"typ": typ}))
    for name, typ in rows(
        ("absent", DROP),
        ("jwt", "JWT"),
        ("grant", "delegation-grant+jwt"),
        ("root", "delegation-root+jwt"),
        ("space", "at+jwt "),
        ("parameter", "at+jwt;x=1"),
        ("other-tree", "text/at+jwt"),
        ("null", None),
        ("number", 1),
        ("list", ["at+jwt"]),
        ("empty", ""),
    ):
        cases.refuse(f"typ-{name}", "No typ of an access token", Draft(header={"typ": typ}), "wrong_type")
    cases.refuse(
        "typ-and-members",
        "The typ is looked at before the members",
        Draft(header={"typ": "JWT", "crit": ["x"]}),
        "wrong_type",
    )
    extras: Members = {
        "crit": ["exp"],
        "b64": True,
        "jwk": AS_KEY.jwk,
        "jku": f"{AS}/jwks",
        "x5u": AS,
        "x5c": [],
        "x5t": "x",
        "cty": "JWT",
        "zip": "DEF",
        "iss": AS,
        "": 1,
        "x": None,
    }
    for name, value in extras.items():
        cases.refuse(
            f"header-with-{name or 'empty-name'}", "A member too many", Draft(header={name: value}), "malformed"
        )
    for name, change in rows(
        ("no-alg", {"alg": DROP}),
        ("no-kid", {"kid": DROP}),
        ("kid-empty", {"kid": ""}),
        ("kid-number", {"kid": 1}),
        ("kid-null", {"kid": None}),
        ("alg-null", {"alg": None}),
        ("alg-list", {"alg": ["ES256"]}),
        ("alg-none", {"alg": "none"}),
        ("alg-None", {"alg": "None"}),
        ("alg-HS256", {"alg": "HS256"}),
        ("alg-es256", {"alg": "es256"}),
        ("alg-ES384", {"alg": "ES384"}),
        ("alg-ES256K", {"alg": "ES256K"}),
        ("alg-PS256", {"alg": "PS256"}),
        ("alg-RS512", {"alg": "RS512"}),
        ("alg-Ed448", {"alg": "Ed448"}),
        ("alg-empty", {"alg": ""}),
    ):
        cases.refuse(
            name, "alg and kid are strings that are not empty, alg one on the list", Draft(header=change), "malformed"
        )
    none = {"typ": "at+jwt", "alg": "none", "kid": AS_KEY.kid}
    cases.refuse(
        "none-unsigned",
        "alg none with an empty signature falls at step 1 already",
        BASE,
        "malformed",
        step=1,
        token=f"{b64(encode(none))}.{b64(encode(BASE.payload()))}.",
    )
    signing_input = f"{b64(encode({**none, 'alg': 'HS256'}))}.{b64(encode(BASE.payload()))}"
    secret = hmac.new(encode(AS_KEY.public), signing_input.encode(), hashlib.sha256).digest()
    cases.refuse(
        "hs256-by-public-key",
        "HS256 with the public key as the secret",
        BASE,
        "malformed",
        token=f"{signing_input}.{b64(secret)}",
    )
    edwards = Draft(key=ed_key("service-ed"))
    cases.accept("alg-EdDSA", "The old name of Ed25519", replace(edwards, header={"alg": "EdDSA"}))
    cases.refuse("alg-eddsa", "In small letters it is no name", replace(edwards, header={"alg": "eddsa"}), "malformed")
    for name, change in rows(
        ("alg-of-another-key", {"alg": "RS256"}),
        ("alg-ed-of-ec-key", {"alg": "Ed25519"}),
        ("alg-eddsa-of-ec-key", {"alg": "EdDSA"}),
        ("kid-unknown", {"kid": "nobody"}),
        ("kid-case", {"kid": "Service"}),
        ("kid-space", {"kid": "service "}),
        ("kid-long", {"kid": "k" * 300}),
        ("kid-of-authority", {"kid": "root-signer"}),
        ("kid-of-encryption-key", {"kid": "encryption"}),
        ("kid-of-other-curve", {"kid": "p-384"}),
        ("kid-not-ascii", {"kid": "s\u00e9rvice"}),
    ):
        cases.refuse(
            name,
            "No key of the issuer has this kid and this alg",
            Draft(header=change),
            "unknown_key",
            control="header",
        )
    other = Draft(key=replace(OTHER_AS_KEY, kid="service"))
    cases.refuse(
        "kid-of-another-issuer",
        "The other issuer has a key of this kid, too; issuer and kid select together",
        other,
        "bad_signature",
        expect=PLAIN_AS,
        control="header",
    )
    cases.accept(
        "another-issuer",
        "That key under its own issuer",
        Draft(iss=OTHER_AS, key=replace(OTHER_AS_KEY, kid="service")),
        expect=PLAIN_AS,
    )
    body = BASE.payload()
    for name, comment, text in (
        ("header-duplicate", "A member twice", b'{"typ":"at+jwt","alg":"ES256","kid":"service","kid":"service"}'),
        (
            "header-duplicate-escaped",
            "The same, once with an escape",
            b'{"typ":"at+jwt","alg":"ES256","kid":"service","k\\u0069d":"service"}',
        ),
        ("header-bom", "A byte-order mark", b'\xef\xbb\xbf{"typ":"at+jwt","alg":"ES256","kid":"service"}'),
        ("header-trailing", "Something behind the object", b'{"typ":"at+jwt","alg":"ES256","kid":"service"}{}'),
        ("header-array", "No object", b'["at+jwt","ES256","service"]'),
        ("header-string", "No object", b'"at+jwt"'),
        ("header-no-json", "No JSON", b"at+jwt"),
        ("header-latin-1", "Not UTF-8", b'{"typ":"at+jwt","alg":"ES256","kid":"s\xe9rvice"}'),
        ("header-surrogate", "A lone surrogate", b'{"typ":"at+jwt","alg":"ES256","kid":"\\ud800"}'),
    ):
        cases.refuse(name, comment, BASE, "malformed", token=seal(text, body, AS_KEY), control="header")
    spaced = b' {\n"kid" : "\\u0073ervice",\t"alg":"ES256" , "typ":"at+jwt"}\r\n'
    cases.accept(
        "header-spelt-otherwise",
        "White space, escapes and the order of members say nothing",
        BASE,
        token=seal(spaced, body, AS_KEY),
    )
    return cases


def json_text() -> Cases:
    """Step 3: strict JSON, in a claim `x` that nobody reads."""
    cases = Cases(about="The payload as strict JSON: an ignored claim x, or the text around (step 3)", step=3)

    def nested(levels: int) -> str:
        return "[" * levels + "]" * levels

    tables: list[tuple[str, str, str, list[str]]] = [
        ("integer", "Integers reach from -(2^53 - 1) to 2^53 - 1, however spelt",
         "9007199254740991", ["9007199254740992", "-9007199254740992", "9007199254740993.0", "9007199254740992e0",
                              "90071992547409920e-1", "1e16", "1E+400", "123456789012345678901234567890",
                              "1e99999999999999999999"]),
        ("integer-negative", "The least integer", "-9007199254740991", ["-9007199254740992.000"]),
        ("integer-with-exponent", "An exponent may say an integer", "9007199254740.991e3", ["9007199254740.992e3"]),
        ("zero", "Zero is zero with any exponent", "[0,-0,0.0,-0.0e-0,0e999999999,0.000e-999999999]",
        ["00", "-", "-01"]),
        ("digits", "15 significant digits, zeros before and behind not counted",
         "[0.123456789012345,123456789.012345,1.50000000000000000000000,0.000000000000000000001]",
         ["0.1234567890123456", "0.30000000000000004", "123456789.0123456", "1.000000000000001e0"]),
        ("small", "The least numbers that a double holds at full precision",
        "[2.22507385850721e-307,2.22507385850722e-308]",
         ["2.22507385850720e-308", "5e-324", "1e-400", "1e-99999999"]),
        ("number-grammar", "Numbers by RFC 8259", "[1.5,1e2,1E-2,-1.25e+1]",
        ["01", "+1", ".5", "1.", "1e", "0x10", "1_000", "NaN", "Infinity", "-Infinity", "1.e1", "\u0661"]),
        ("literal", "The three literals", "[true,false,null]", ["True", "nul", "undefined", ""]),
        ("string", "Strings by RFC 8259", '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000 \u00e9 \U0001f600"',
        ['"\n"', '"\x00"', '"\\x41"', '"\\u12"', "'a'", '"a', '"\\u00g0"']),
        ("surrogates", "Both halves, by escapes", '"\\ud83d\\ude00"', ['"\\ud83d"', '"\\ude00\\ud83d"',
            '{"\\udfff":1}', '["\\ud83d\\u0041"]']),
        ("object", "An object with distinct names", '{"a":1,"A":1,"a ":1}',
        ['{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '{"b":{"a":1,"a":2}}', '{"a":1,}', "{a:1}", '{"a"}', '{"a":1 "b":2}',
        "{,}"]),
        ("array", "An array", "[1,[2]]", ["[1,]", "[1 2]", "[,1]", "[1", "[1]]", "[1/**/]"]),
        ("nesting", "40 levels, the claims being the first", nested(39),
        [nested(40), nested(2000), '{"a":' * 40 + "1" + "}" * 40]),
        ("brackets-in-strings", "Brackets in a string are no levels", '"' + "[{" * 50 + '\\"[["',
        ['"\\\\"' + nested(2)]),
    ]  # fmt: skip
    cases.accept("json", "The base token", BASE)
    for group, comment, good, bad in tables:
        cases.accept(f"json-{group}", comment, Draft(extra=f'"x":{good}'))
        for number, text in enumerate(bad, start=1):
            shown = text if len(text) < 40 else text[:12] + "..."
            cases.refuse(
                f"json-{group}-{number}",
                f"Refused: {shown.encode('unicode_escape').decode()}",
                Draft(extra=f'"x":{text}'),
                "malformed",
            )
    good_text = encode(BASE.payload())
    cases.accept(
        "json-spaces",
        "White space around and within",
        BASE,
        token=seal(BASE.header_members(), b" \r\n\t" + good_text.replace(b",", b" ,\n") + b"\n", AS_KEY),
    )
    for name, comment, raw in (
        ("bom", "A byte-order mark", b"\xef\xbb\xbf" + good_text),
        ("utf-16", "UTF-16", good_text.decode().encode("utf-16")),
        ("latin-1", "A byte that is no UTF-8", good_text[:-1] + b',"x":"\xe9"}'),
        ("overlong", "An overlong encoding", good_text[:-1] + b',"x":"\xc0\xaf"}'),
        ("utf-8-surrogate", "A surrogate in UTF-8", good_text[:-1] + b',"x":"\xed\xa0\x80"}'),
        ("trailing", "Something behind the object", good_text + b"x"),
        ("two-objects", "Two objects", good_text + good_text),
        ("form-feed", "White space that JSON does not know", good_text + b"\x0c"),
        ("no-break-space", "White space that JSON does not know", b"\xc2\xa0" + good_text),
        ("nul-behind", "A NUL behind", good_text + b"\x00"),
        ("array-around", "An array around", b"[" + good_text + b"]"),
        ("null-alone", "null", b"null"),
        ("string-alone", "A string", b'"x"'),
        ("iss-twice", "iss twice, the same", good_text[:-1] + b',"iss":"https://as.example"}'),
        ("exp-twice", "exp twice, different", good_text[:-1] + b',"exp":2000000000}'),
        (
            "scope-twice-in-hop",
            "A member of a hop twice",
            good_text.replace(b'"actor":"mailer"', b'"actor":"planner","actor":"mailer"', 1),
        ),
    ):
        cases.refuse(
            f"json-{name}", comment, BASE, "malformed", token=seal(BASE.header_members(), raw, AS_KEY), control="json"
        )
    return cases


def claims() -> Cases:
    """Steps 3 (iss) and 5: the claims by exact types."""
    cases = Cases(about="iss and the other required claims (steps 3, 5 and 7)", step=5)
    cases.accept("claims", "The base token", BASE)
    cases.accept(
        "claims-unknown",
        "Claims that the profile does not name are ignored",
        Draft(claims={"may_act": {"sub": "x"}, "azp": 1, "auth_time": -1, "groups": [None], "sid": "", "SUB": 5}),
    )
    for name, iss in (("absent", DROP), ("null", None), ("empty", ""), ("list", [AS]), ("number", 1)):
        cases.refuse(
            f"iss-{name}", "iss is a string that is not empty", Draft(claims={"iss": iss}), "malformed", step=3
        )
    for name, iss in (
        ("slash", f"{AS}/"),
        ("case", "HTTPS://as.example"),
        ("space", f"{AS} "),
        ("authority", IDP),
        ("other", "https://evil.example"),
    ):
        cases.refuse(
            f"iss-{name}",
            "iss is compared byte for byte with the trusted issuers",
            Draft(claims={"iss": iss}),
            "untrusted_issuer",
        )
    cases.refuse(
        "iss-before-kid",
        "An issuer that is not trusted, and no such kid",
        Draft(claims={"iss": "x"}, header={"kid": "x"}),
        "untrusted_issuer",
    )
    texts: list[tuple[str, Any]] = [
        ("absent", DROP),
        ("null", None),
        ("empty", ""),
        ("number", 1),
        ("list", ["x"]),
        ("object", {}),
        ("true", True),
    ]
    for member in ("sub", "aud", "client_id", "scope"):
        for name, value in texts:
            cases.refuse(
                f"{member}-{name}",
                f"{member} is a string that is not empty",
                Draft(claims={member: value}),
                "malformed",
            )
    cases.refuse(
        "aud-list-right",
        "aud is one string; a list is malformed, even of the right one",
        Draft(claims={"aud": [API]}),
        "malformed",
    )
    cases.refuse("aud-list-two", "A list of two", Draft(claims={"aud": [API, FILES]}), "malformed")
    numbers: list[tuple[str, Any]] = [
        ("null", None),
        ("string", "1900000300"),
        ("negative", -1),
        ("true", True),
        ("list", [NOW]),
    ]
    for member in ("iat", "exp", "nbf"):
        for name, value in numbers if member == "nbf" else [("absent", DROP), *numbers]:
            cases.refuse(
                f"{member}-{name}", f"{member} is an integer from 0 on", Draft(claims={member: value}), "malformed"
            )
    cases.accept("nbf-integer", "nbf as an integer", Draft(extra='"nbf":1899999990'))
    for name, text in (
        ("fraction", "1899999990.5"),
        ("point-zero", "1899999990.0"),
        ("exponent", "189999999e1"),
        ("exponent-zero", "1899999990e0"),
    ):
        cases.refuse(
            f"nbf-{name}",
            "An integer is written without point and exponent where a time or a count stands",
            Draft(extra=f'"nbf":{text}'),
            "malformed",
        )
    cases.accept("nbf-zero", "Zero", Draft(extra='"nbf":0'))
    cases.accept("nbf-minus-zero", "-0 is the integer 0", Draft(extra='"nbf":-0'))
    cases.refuse("nbf-minus-one", "-1", Draft(extra='"nbf":-1'), "malformed")
    good = jti("token")
    cases.accept("jti-any-bits", "22 characters, the last one of A Q g w", Draft(claims={"jti": "-" * 21 + "w"}))
    for name, value in rows(
        ("absent", DROP),
        ("null", None),
        ("21", good[:21]),
        ("23", good + "A"),
        ("tail-bits", good[:21] + "B"),
        ("plus", "+" + good[1:]),
        ("padded", good + "=="),
        ("newline", good + "\n"),
        ("uuid", "0f8fad5b-d9cb-469f-a165-70867728950e"),
    ):
        cases.refuse(
            f"jti-{name}",
            "jti is 128 bits in canonical base64url",
            Draft(claims={"jti": value}),
            "malformed",
            control="claims",
        )
    _cnf_and_scope(cases)
    return cases


def _cnf_and_scope(cases: Cases) -> None:
    thumb = holder("printer").thumbprint
    bound: Members = {"holder_proven_upstream": True}
    for member in ("jkt", "x5t#S256"):
        cases.accept(
            f"cnf-{member.replace('#', '-')}",
            "One confirmation method, proven upstream",
            Draft(claims={"cnf": {member: thumb}}),
            **bound,
        )
    for name, value in rows(
        ("null", None),
        ("string", thumb),
        ("empty", {}),
        ("both", {"jkt": thumb, "x5t#S256": thumb}),
        ("jwk", {"jwk": holder("printer").jwk}),
        ("jkt-and-more", {"jkt": thumb, "x": 1}),
        ("jkt-short", {"jkt": thumb[:42]}),
        ("jkt-long", {"jkt": thumb + "A"}),
        ("jkt-tail-bits", {"jkt": thumb[:42] + "B"}),
        ("jkt-null", {"jkt": None}),
        ("list", [{"jkt": thumb}]),
    ):
        cases.refuse(
            f"cnf-{name}",
            "cnf is exactly one of jkt and x5t#S256, 256 bits in canonical base64url",
            Draft(claims={"cnf": value}),
            "malformed",
            **bound,
        )
    cases.accept("scope-order", "Order says nothing", Draft(claims={"scope": "mail.send files.read"}))
    for name, value in rows(
        ("leading-space", " files.read mail.send"),
        ("trailing-space", "files.read mail.send "),
        ("two-spaces", "files.read  mail.send"),
        ("tab", "files.read\tmail.send"),
        ("newline", "files.read mail.send\n"),
        ("repeat", "files.read mail.send files.read"),
        ("quote", 'files.read mail.send"'),
        ("quote-first", '"files.read mail.send'),
        ("backslash", "files.read mail.send\\"),
        ("not-ascii", "files.read mail.s\u00e9nd"),
        ("del", "files.read mail.send\x7f"),
        ("space-alone", " "),
    ):
        cases.refuse(
            f"scope-{name}",
            "Scope-tokens separated by single spaces, none twice",
            Draft(claims={"scope": value}),
            "malformed",
        )
    odd = "!#$%&'()*+,-./:;<=>?@[]^_`{|}~"
    cases.accept("scope-characters", "All the marks of a scope-token", Draft(entries={0: {"scope": f"a b c {odd}"}}))
    many = " ".join(f"s{number}" for number in range(257))
    cases.accept(
        "scope-256",
        "256 scopes in the root",
        Draft(actors=AGENTS[:1], entries={0: {"scope": many[: many.rindex(" ")]}, 1: {"scope": "s1"}}),
    )
    cases.refuse(
        "scope-257",
        "257",
        Draft(actors=AGENTS[:1], entries={0: {"scope": many}, 1: {"scope": "s1"}}),
        "malformed",
        step=9,
    )
    cases.refuse(
        "details-empty",
        "An empty array is left out",
        Draft(claims={"authorization_details": []}),
        "malformed",
        control="claims",
    )
    cases.refuse(
        "details-null",
        "null is not left out",
        Draft(claims={"authorization_details": None}),
        "malformed",
        control="claims",
    )


def terms() -> Cases:
    """Steps 6 to 8."""
    cases = Cases(about="Time, lifetime, audience and holder (steps 6 to 8)", step=6)
    exp, iat = NOW + 300, NOW - 10
    cases.accept("time", "The base token", BASE)
    for leeway in (0, 30, 60):
        expect = {"leeway_s": leeway}
        cases.accept(
            f"exp-last-second-{leeway}",
            f"now = exp + {leeway} - 1, leeway {leeway}",
            BASE,
            now=exp + leeway - 1,
            expect=expect,
        )
        cases.refuse(f"exp-over-{leeway}", f"now = exp + {leeway}", BASE, "expired", now=exp + leeway, expect=expect)
        cases.accept(
            f"iat-first-second-{leeway}",
            f"now = iat - {leeway}, leeway {leeway}",
            BASE,
            now=iat - leeway,
            expect=expect,
        )
        cases.refuse(
            f"iat-ahead-{leeway}",
            f"now = iat - {leeway} - 1",
            BASE,
            "not_yet_valid",
            now=iat - leeway - 1,
            expect=expect,
        )
    cases.accept("nbf-first-second", "now = nbf - 30", Draft(claims={"nbf": NOW + 30}))
    cases.refuse("nbf-ahead", "now = nbf - 31", Draft(claims={"nbf": NOW + 31}), "not_yet_valid")
    cases.accept(
        "entries-of-tomorrow",
        "Only the token's own times are compared with now: root and hops of the last second with leeway",
        Draft(entries={0: {"iat": NOW + 30}}),
    )
    cases.accept(
        "exp-before-iat",
        "exp and iat are not compared with each other: within leeway it still passes",
        Draft(claims={"iat": NOW, "exp": NOW - 5}),
    )
    cases.accept("lifetime", "exp - iat = 310 where 310 is allowed", BASE, revocations={"lifetime_only_s": 310})
    cases.refuse(
        "lifetime-over",
        "310 where 309 is allowed; leeway does not count",
        BASE,
        "lifetime_exceeded",
        revocations={"lifetime_only_s": 309},
    )
    cases.accept(
        "lifetime-with-view",
        "With a view of revocations lifetime has no cap",
        Draft(claims={"exp": NOW + 3600}),
        revocations={"list": [], "as_of": NOW, "max_staleness_s": 60},
    )
    cases.refuse(
        "expired-and-not-yet",
        "Expired and not valid yet: expired",
        Draft(claims={"exp": NOW - 30, "nbf": NOW + 31}),
        "expired",
    )
    cases.refuse(
        "not-yet-and-too-long",
        "Not valid yet and too long: not_yet_valid",
        Draft(claims={"nbf": NOW + 31}),
        "not_yet_valid",
        revocations={"lifetime_only_s": 1},
    )
    cases.accept("audience-one-of", "One of several audiences", BASE, expect={"audiences": [FILES, API]})
    for name, audiences in (
        ("other", [FILES]),
        ("prefix", [f"{API}/"]),
        ("case", ["https://CRM.example/api"]),
        ("issuer", [AS]),
    ):
        cases.refuse(
            f"audience-{name}", "aud is compared byte for byte", BASE, "wrong_audience", expect={"audiences": audiences}
        )
    exchange = Draft(claims={"aud": AS})
    cases.accept(
        "exchange-only",
        "aud = iss at the token service; such a token admits no call at all",
        exchange,
        expect={"audiences": [AS]},
        calls=[
            {"scope": "mail.send", "admitted": False, "reason": "insufficient_scope"},
            {"tool": "read", "arguments": {}, "admitted": False, "reason": "insufficient_scope"},
        ],
    )
    cases.refuse("exchange-only-at-resource", "The same at a resource", exchange, "wrong_audience")
    bound = Draft(bound=True)
    cases.accept("holder", "A bound token whose holder something in front has proven", bound)
    cases.refuse("holder-unproven", "The same without", bound, "holder_unproven", holder_proven_upstream=False)
    bearer = Draft(claims={"cnf": {"x5t#S256": holder("printer").thumbprint}})
    cases.refuse("holder-certificate-unproven", "Bound to a certificate by the token alone", bearer, "holder_unproven")
    calls = [{"scope": "mail.send", "admitted": True}, {"scope": "mail.send files.read", "admitted": True}]
    others = ("crm.read", "mail.send crm.read", "mail", "Mail.send", "", " mail.send", "mail.send mail.send")
    calls += [{"scope": scope, "admitted": False, "reason": "insufficient_scope"} for scope in others]
    cases.accept(
        "calls-by-scope",
        "Which scopes the token carries; a required scope that does not parse denies",
        BASE,
        calls=calls,
    )
    return cases


def _merged(one: Members, other: Members) -> Members:
    """Both changes. Members of `other` win; changes of different entries stand side by side."""
    merged = dict(one)
    for name, value in other.items():
        old = merged.get(name)
        merged[name] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def first_failure() -> Cases:
    """Of two faults in one token the earlier step's is reported."""
    cases = Cases(about="The order of the steps: each case has the fault of one step and that of a later one", step=5)
    hit = {"list": [{"kind": "user", "id": USER}], "max_staleness_s": 10}
    other = {"jkt": holder("printer").thumbprint}
    faults: list[tuple[str, str, int, Members, Members]] = [
        ("size", "too_large", 1, {}, {"expect": {"max_token_bytes": 100}}),
        ("typ", "wrong_type", 2, {"header": {"typ": "JWT"}}, {}),
        ("header-member", "malformed", 2, {"header": {"crit": ["x"]}}, {}),
        ("json", "malformed", 3, {"tail": b"x"}, {}),
        ("issuer", "untrusted_issuer", 3, {}, {"expect": {"issuers": [OTHER_AS]}}),
        ("kid", "unknown_key", 4, {"header": {"kid": "x"}}, {}),
        ("signature", "bad_signature", 4, {"key": replace(ec_key("thief"), kid=AS_KEY.kid)}, {}),
        ("claim", "malformed", 5, {"claims": {"client_id": 5}}, {}),
        ("exp", "expired", 6, {"claims": {"exp": NOW - 40}}, {}),
        ("nbf", "not_yet_valid", 6, {"claims": {"nbf": NOW + 40}}, {}),
        ("lifetime", "lifetime_exceeded", 6, {"claims": {"iat": NOW - 60}}, {"revocations": {"lifetime_only_s": 5}}),
        ("audience", "wrong_audience", 7, {}, {"expect": {"audiences": ["urn:x"]}}),
        ("holder", "holder_unproven", 8, {"claims": {"cnf": other}}, {}),
        ("no-chain", "chain_missing", 9, {"claims": {"grant_chain": DROP}}, {}),
        ("profile", "malformed", 9, {"claims": {"grant_profile": 2}}, {}),
        ("entry", "malformed", 9, {"spoil": {1: {"x": 1}}}, {}),
        ("parent", "chain_misaligned", 10, {"spoil": {2: {"parent": jti("root")}}}, {}),
        ("root", "root_invalid", 11, {"spoil": {0: {"sub": "user-2"}}}, {}),
        ("evidence", "evidence_insufficient", 12, {}, {"expect": {"hop_floor": "delegator"}}),
        ("wider", "not_narrower", 12, {"spoil": {1: {"resources": [API, "urn:x"]}}}, {}),
        ("equal", "not_proper", 12, {"spoil": {1: {"scope": BASE.plain_entries()[0]["scope"]}}}, {}),
        ("depth", "depth_exceeded", 12, {"entries": {0: {"max_depth": 0}}}, {}),
        ("leaf", "token_exceeds_grant", 13, {"claims": {"scope": "mail.send"}}, {}),
        ("stale", "revocation_stale", 14, {}, {"revocations": {**hit, "as_of": NOW - 100}}),
        ("revoked", "revoked", 14, {}, {"revocations": {**hit, "as_of": NOW}}),
    ]  # fmt: skip
    cases.accept("order", "None of the faults", BASE)
    pairs = [(i, i + 1) for i in range(len(faults) - 1)] + [(i, i + 5) for i in range(len(faults) - 5)]
    for first, second in pairs:
        name, reason, step, draft, given = faults[first]
        later, _, _, later_draft, later_given = faults[second]
        both = Draft(**_merged(later_draft, draft))
        hop = 1 if step == 12 else None
        cases.refuse(
            f"order-{name}-{later}",
            f"The faults {name} and {later}",
            both,
            reason,
            step=step,
            hop=hop,
            **_merged(later_given, given),
        )
    cases.refuse(
        "order-act-entry",
        "act and an entry malformed: one step, one reason",
        Draft(claims={"act": act("x", *["y"] * 10)}, spoil={1: {"x": 1}}),
        "malformed",
        step=9,
    )
    cases.refuse(
        "order-hop-1-depth-hop-2-wider",
        "The last check of hop 1 comes before the first of hop 2",
        Draft(entries={0: {"max_depth": 0}}, spoil={2: {"resources": ["urn:x"]}}),
        "depth_exceeded",
        hop=1,
    )
    cases.refuse(
        "order-hop-2-wider-hop-3-equal",
        "An earlier hop comes first",
        Draft(spoil={2: {"resources": ["urn:x"]}, 3: {"scope": "crm.write files.read mail.send"}}),
        "not_narrower",
        hop=2,
    )
    return cases
