"""Chromium, driven through logins at providers. Arguments: what is done, the site's URL. Every page of the site's
origin says who is logged in, as JSON."""

import json
import sys
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

    def is_asked(self):
        return self.driver.find_elements(By.CSS_SELECTOR, "input[name=login]")

    def log_in(self, name):
        self.until("the provider asks who it is", self.is_asked)
        self.one("input[name=login]").send_keys(name)
        self.one("input[name=password]").send_keys("any")
        self.one("[type=submit]").click()
        self.until("the provider asks for consent", lambda: "consent" in self.one("input[name=prompt]").get_attribute("value"))
        self.one("[type=submit]").click()

    def at(self, path):
        self.until(f"back at {path}", lambda: self.driver.current_url == self.site + path)

    def said(self):
        return json.loads(self.one("body").text)

    def fetched(self, path, **options):
        script = (
            "const done = arguments[2]; fetch(arguments[0], arguments[1])"
            ".then((answer) => done(answer.status), (error) => done(String(error)))"
        )
        return self.driver.execute_async_script(script, path, options)

    def cookie(self, name):
        return self.driver.get_cookie(name)


def expect(got, wanted):
    if got != wanted:
        raise SystemExit(f"{got!r}, where {wanted!r} was expected")


def whole(browser):
    page = "/admin/users?tab=2&q=a%2Fb"
    browser.go(page)
    browser.log_in("ann")
    browser.at(page)
    expect(browser.said(), {"user": "ann", "email": "ann@corp.test", "target": page})
    cookie = browser.cookie("__Host-sid")
    expect([cookie["secure"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]], [True, True, "Lax", "/"])
    flows = [cookie["name"] for cookie in browser.driver.get_cookies() if "-login-" in cookie["name"]]
    expect(flows, [])
    expect(browser.fetched("/admin/data"), 200)
    # The access token lasts some seconds: the session goes on with a new one, and is written anew.
    browser.until("it is refreshed", lambda: (browser.go("/admin/again"), browser.cookie("__Host-sid")["value"] != cookie["value"])[1])
    expect(browser.said()["user"], "ann")
    browser.go("/logout?return=/bye%3Fa")
    browser.until("the provider asks whether to log out", lambda: browser.one("button[name=logout]"))
    browser.one("button[name=logout]").click()
    browser.at("/bye?a")
    expect(browser.cookie("__Host-sid"), None)
    expect(browser.fetched("/admin/data"), 401)
    expect(browser.fetched("/admin/data", method="POST"), 401)
    browser.go("/admin/users")
    browser.until("the provider asks again", browser.is_asked)


def idle(browser):
    browser.go("/admin/a")
    browser.log_in("ann")
    browser.at("/admin/a")
    first = browser.cookie("__Host-sid")
    browser.until("it is kept", lambda: (browser.go("/admin/b"), browser.cookie("__Host-sid")["value"] != first["value"])[1])
    browser.until("it is over", lambda: browser.cookie("__Host-sid") is None)
    # The provider still knows who it is, and sends the browser back at once.
    browser.go("/admin/c?d")
    browser.at("/admin/c?d")
    expect(browser.said()["user"], "ann")


def two(browser):
    browser.go("/admin/x")
    browser.log_in("ann")
    browser.at("/admin/x")
    browser.go("/partner/y?z=1")
    browser.log_in("bob")
    browser.at("/partner/y?z=1")
    expect(browser.said()["user"], "bob")
    browser.go("/admin/x")
    expect(browser.said()["user"], "ann")
    browser.driver.delete_cookie("__Host-partner")
    expect(browser.fetched("/partner/data"), 401)
    expect(browser.fetched("/admin/data"), 200)


with tempfile.TemporaryDirectory() as home:
    browser = Browser(sys.argv[2], home)
    try:
        {"whole": whole, "idle": idle, "two": two}[sys.argv[1]](browser)
    finally:
        browser.driver.quit()
print("done")
