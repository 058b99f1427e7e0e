"""Authorities and certificates for tests, in files as servers and clients want them."""

import datetime
import ipaddress
import itertools
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = ("localhost", "127.0.0.1")
_HOUR = datetime.timedelta(hours=1)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Identity:
    """The paths of a certificate and its key."""

    certificate: Path
    key: Path

    def replace(self, other):
        """As a renewal does it: another identity's content under the same names."""
        for ours, theirs in ((self.key, other.key), (self.certificate, other.certificate)):
            fresh = ours.with_suffix(".new")
            fresh.write_bytes(theirs.read_bytes())
            fresh.rename(ours)

    def server_context(self, clients_of=None):
        """For a TLS server of the test's own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if clients_of is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients_of.certificate)
        return context


class Authority:
    """Issues certificates. One that nobody trusts is simply another one of these."""

    def __init__(self, folder, name="plant-authority"):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = folder / f"{name}.pem"
        made = _builder(self._name, self._name, self._key, -1, 24)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        _write_certificate(self.certificate, made.sign(self._key, hashes.SHA256()))

    def issue(self, common_name="server", names=LOOPBACK, hours=(-1, 24), password=None):
        """`hours` from now is it valid from and until; with a password its key is encrypted."""
        return self._make(common_name, names, hours, self._name, self._key, password)

    def self_signed(self, common_name="itself", names=LOOPBACK):
        return self._make(common_name, names, (-1, 24), None, None)

    def _make(self, common_name, names, hours, issuer, issuer_key, password=None):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(common_name)
        made = _builder(subject, issuer or subject, key, *hours)
        made = made.add_extension(x509.SubjectAlternativeName(map(_general_name, names)), False)
        stem = self._folder / f"{common_name}-{next(_numbers)}"
        identity = Identity(stem.with_suffix(".crt"), stem.with_suffix(".key"))
        _write_certificate(identity.certificate, made.sign(issuer_key or key, hashes.SHA256()))
        identity.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(password.encode())
                if password
                else serialization.NoEncryption(),
            )
        )
        return identity


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(text):
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _builder(subject, issuer, key, from_hour, until_hour):
    now = datetime.datetime.utcnow()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + from_hour * _HOUR)
        .not_valid_after(now + until_hour * _HOUR)
    )


def _write_certificate(path, certificate):
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
