import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from noibo.access.api_key import mint
from noibo.privacy.secrets import secrets

PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n" * 5
)
END = "-----END PRIVATE KEY-----"


def values(text: str, label: str = "API_KEY") -> list[str]:
    return [text[span.start : span.end] for span in secrets(text) if span.label == label]


@pytest.mark.parametrize(
    "key",
    [
        "sk-ant-api03-Zx9Yw8Vu7Ts6Rq5Po4Nm3Lk2Ji1Hg0Fe",
        "sk-proj-Ab12Cd34Ef56Gh78Ij90Kl12Mn34Op56",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        "xoxb-123456789012-abcdefABCDEF123456",
        "glpat-x9Y8z7W6v5U4t3S2r1Q0",
        "hf_AbCdEfGhIjKlMnOpQrStUvWxYz123456",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "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",
        "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawE",
    ],
)
def test_keys_are_known_by_what_their_issuers_put_in_front(key):
    for text in (key, f"dùng {key} nhé", f'key="{key}"', f"({key})."):
        assert key in values(text), text


def test_our_own_keys_are_found():
    key = mint().text
    assert values(f"gửi {key} cho khách") == [key]


@pytest.mark.parametrize(
    "text",
    [
        "sk-your-api-key-goes-right-here",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "sk-skeleton-of-a-very-long-hyphenated-word",
        "tin-tuc-moi-nhat-hom-nay-ve-thoi-tiet",
        "api_key = os.environ['KEY']",
        "password = getpass()",
        'password: "********"',
        "token: ${{ secrets.TOKEN }}",
        "secret = None",
        "max_tokens: 4096",
        "tokens = tokenizer(text)",
        "the password is required",
        "Mật khẩu tối thiểu 8 ký tự",
        "primary_key: customer_id",
        "password: str = Field(max_length=1024)",
        "def read(self, name, pwd=None):",
        "pwd = (self.password.encode('utf8'))",
        "the caller may pass force_zip64 here",
        "token = self._fp.read(1)[0]",
        "password: Annotated[str, typer.Argument(help='Whose1.')]",
    ],
)
def test_examples_variables_and_calls_are_left(text):
    assert values(text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('api_key = "7f3c9a1be24d4f0e8a6b5c2d"', "7f3c9a1be24d4f0e8a6b5c2d"),
        ("export CLIENT_SECRET=q8Zr5Ty7Uw3Xa1Sd", "q8Zr5Ty7Uw3Xa1Sd"),
        ("password: hoa@1995", "hoa@1995"),
        ("mật khẩu: hoa1995", "hoa1995"),
        ("mat khau wifi la Nhaminh2024", "Nhaminh2024"),
        ("Password=Str0ng!Passw0rd;User=sa", "Str0ng!Passw0rd"),
        ("redis://:s3cretpw@cache:6379", "s3cretpw"),
        ("Authorization: Bearer 9f8e7d6c5b4a39281706", "9f8e7d6c5b4a39281706"),
    ],
)
def test_what_is_assigned_to_a_secrets_name_is_found(text, value):
    assert values(text) == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("api key là 5f4dcc3b5aa765d61d8327deb882cf99", "5f4dcc3b5aa765d61d8327deb882cf99"),
        ("token của bên em là 8fK2mPq7Zx1LwRt5Yb3NcVd9, giữ kín nhé", "8fK2mPq7Zx1LwRt5Yb3NcVd9"),
        ("vnp_HashSecret=Q1WERTYUIOPLKJHGFDSAZXCVBN123456", "Q1WERTYUIOPLKJHGFDSAZXCVBN123456"),
        ("access token zalo: NiCMNBxZNazLqccGJz1yZdas", "NiCMNBxZNazLqccGJz1yZdas"),
        (
            "discord token MTA4NzY1NDMyMTA5.GxYz12.abcDEFghi0123",
            "MTA4NzY1NDMyMTA5.GxYz12.abcDEFghi0123",
        ),
        ("user root pass Zx9@kLm2Qw", "Zx9@kLm2Qw"),
        ("curl -u admin:Qw7!zXc9Lp https://jenkins.local/job", "Qw7!zXc9Lp"),
    ],
)
def test_a_random_value_that_is_called_a_key_is_one(text, value):
    assert values(text) == [value]


def test_what_goes_with_a_keys_name_is_found_too():
    name, key = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    assert values(f"AWS: {name} / {key}") == [name, key]


@pytest.mark.parametrize(
    "text",
    [
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "the cache key 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "api key rotation policy docs/2024/rotation_policy_v2_final",
        "tokens per second 2024-05-01-some-file-name-here",
        "pass iPhone15ProMax giá 20tr",
        "pass lan1@gmail.com nhé",
        "docker run -u 1000:1000 nginx",
        "curl -u admin:$TOKEN https://jenkins.local/job",
    ],
)
def test_random_values_and_names_of_files_are_no_keys_of_their_own(text):
    assert values(text) == []


def test_private_keys_are_found_whole():
    text = f"khoá:\n{PEM}{END}\nhết"
    assert values(text, "PRIVATE_KEY") == [PEM + END]


def test_private_keys_that_are_cut_off_are_found_as_far_as_they_go():
    assert values(PEM, "PRIVATE_KEY") == [PEM.rstrip()]
    rest = PEM.partition("\n")[2] + END
    assert values("...\n" + rest, "PRIVATE_KEY") == [rest]


def test_private_keys_in_json_are_found_whole():
    escaped = (PEM + END).replace("\n", "\\n")
    assert values('{"key": "' + escaped + '"}', "PRIVATE_KEY") == [escaped]


def test_public_keys_and_certificates_are_nobodys():
    text = (
        "-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END CERTIFICATE-----"
    )
    assert values(text, "PRIVATE_KEY") == []


MADE = {
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        *((kind, form) for kind in MADE for form in ("PKCS8", "OpenSSH")),
        *((kind, "TraditionalOpenSSL") for kind in MADE if kind != "Ed25519"),
    ],
)
def test_a_private_key_without_its_armour_is_found(kind, form):
    form = getattr(PrivateFormat, form)
    whole = MADE[kind]().private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    body = "\n".join(whole.strip().split("\n")[1:-1])
    for said in (body, body.replace("\n", ""), body.replace("\n", "\\n")):
        (found,) = values(f"Here it is: {said}\nThanks", "PRIVATE_KEY")
        assert len(found) >= 0.95 * len(said)


@pytest.mark.parametrize("kind", MADE)
def test_a_public_key_is_none(kind):
    form = PublicFormat.SubjectPublicKeyInfo
    text = MADE[kind]().public_key().public_bytes(Encoding.PEM, form).decode()
    assert list(secrets(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        '{"kty": "OKP", "crv": "Ed25519", "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}',
        "<RSAKeyValue><D>" + "Zk3vQ9mLx2RbT7nYw5Hc" * 4 + "</D></RSAKeyValue>",
        "PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 1\n" + "Zk3vQ9mLx2RbT7nYw5Hc" * 3,
        "----- BEGIN  RSA PRIVATE  KEY -----\n" + "Zk3vQ9mLx2RbT7nYw5Hc" * 3,
    ],
)
def test_a_private_key_in_other_armour_is_found(text):
    assert values(text, "PRIVATE_KEY")
