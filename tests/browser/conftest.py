"""Debian's Chromium, worked by playwright; one browser for all tests, a site and a profile for each."""

import shutil
from contextlib import ExitStack
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from sites import MARK, running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def ready(page):
    """Until the scripts of a task's page are there."""
    page.wait_for_load_state()
    if page.locator("#task").count():
        page.locator("#task[data-ready]").wait_for()


@pytest.fixture(scope="module")
def chromium():
    """Started and stopped for each file: playwright runs a loop, in which asyncio.run would fail in other tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make test installs it")
    if CHROMIUM is None:
        pytest.skip("Chromium is not here: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path):
    """`site(project)` starts the app."""
    with ExitStack() as stack:

        def start(project=None, **more):
            return stack.enter_context(running(tmp_path, project, **more))

        yield start


@pytest.fixture
def visitor(chromium):
    """`visitor(site, "ada")` is a profile in which ada is logged in; `.page()` opens a tab. Whatever any does, no
    script fails, nothing is refused by the policy, nobody else is asked, and no answer tells a model's name."""
    contexts, faults = [], []

    def watch(page, home):
        def hears(message):
            if "Content Security Policy" in message.text or "TrustedHTML" in message.text:
                faults.append(message.text)

        def asks(request):
            address = urlsplit(request.url)
            if address.scheme not in ("data", "blob") and address.netloc != home:
                faults.append(f"asked {request.url}")

        def gets(response):
            if "/static/" in response.url:
                return  # files, the same for everybody
            if MARK in str(response.headers):
                faults.append(f"a model's name in the headers of {response.url}")
            try:
                body = response.body()
            except Exception:
                return  # a redirect, or a page that was left meanwhile: read as what came after it
            if MARK.encode() in body:
                faults.append(f"a model's name in {response.url}")

        page.on("console", hears)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", asks)
        page.on("requestfinished", lambda request: gets(request.response()) if request.response() else None)
        page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def open_(site, name=None, *, token=None, person=None, **options):
        if name is not None and token is None:
            person, token = site.person(name)
        context = chromium.new_context(viewport={"width": 1280, "height": 900}, **options)
        context.set_default_timeout(30_000)
        if token:
            context.add_cookies([{"name": "preferably", "value": token, "url": site.url}])
        home = urlsplit(site.url).netloc
        context.on("page", lambda page: watch(page, home))
        contexts.append(context)

        def page(path="/task"):
            opened = context.new_page()
            opened.goto(site.url + path)
            ready(opened)
            return opened

        return SimpleNamespace(context=context, page=page, person=person, faults=faults)

    yield open_
    for context in contexts:
        context.close()
    assert not faults
