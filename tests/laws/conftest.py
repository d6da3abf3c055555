from __future__ import annotations

import ssl

import pytest
import trustme


@pytest.fixture
def authority():
    """Give a test an authority of its own, which nobody trusts."""
    return trustme.CA()


@pytest.fixture
def tls(authority):
    """Give a test's service a certificate of that authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context
