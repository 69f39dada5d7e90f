"""Chromium, driven."""

import tempfile

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 60


class Browser:
    def __init__(self, site, home):
        options = webdriver.ChromeOptions()
        for flag in ["headless=new", "no-sandbox", "disable-dev-shm-usage", "ignore-certificate-errors", "disable-gpu"]:
            options.add_argument(f"--{flag}")
        options.add_argument(f"--user-data-dir={home}")
        options.binary_location = "/usr/bin/chromium"
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_page_load_timeout(PATIENCE)
        self.site = site

    def until(self, what, wanted):
        def found(_):
            try:
                return wanted()
            except Exception:
                return False

        try:
            return WebDriverWait(self.driver, PATIENCE, poll_frequency=0.1).until(found)
        except Exception:
            raise SystemExit(f"{what}: {self.driver.current_url}\n{self.driver.page_source[:2000]}")

    def go(self, path):
        self.driver.get(self.site + path)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def at(self, path):
        self.until(f"back at {path}", lambda: self.driver.current_url == self.site + path)

    def fetched(self, path, **options):
        """What a script of the page gets: status, body and `X-Total`, or its error."""
        script = (
            "const done = arguments[2]; fetch(arguments[0], arguments[1])"
            ".then(async (answer) => done([answer.status, await answer.text(), answer.headers.get('x-total')]),"
            "(error) => done(String(error)))"
        )
        return self.driver.execute_async_script(script, path, options)

    def cookie(self, name):
        return self.driver.get_cookie(name)


def expect(got, wanted):
    if got != wanted:
        raise SystemExit(f"{got!r}, where {wanted!r} was expected")


def drive(kind, site, do):
    """Has a browser do something, and says that it is done."""
    with tempfile.TemporaryDirectory() as home:
        browser = kind(site, home)
        try:
            do(browser)
        finally:
            browser.driver.quit()
    print("done")
