"""Chromium, driven through logins at providers. Arguments: what is done, the site's URL, the issuer of the first
provider, the key of sessions. Every page of the site's origin says who is logged in, as JSON."""

import json
import os
import sys
import time

# The last: beside this lies a program that is called as a package is.
sys.path.append(os.path.dirname(__file__))
from browser import Browser, drive, expect
from sealed import seal
from selenium.webdriver.common.by import By

ISSUER, KEY = sys.argv[3:5]


class Logins(Browser):
    def is_asked(self):
        return self.driver.find_elements(By.CSS_SELECTOR, "input[name=login]")

    def log_in(self, name):
        self.until("the provider asks who it is", self.is_asked)
        self.one("input[name=login]").send_keys(name)
        self.one("input[name=password]").send_keys("any")
        self.one("[type=submit]").click()
        self.until("the provider asks for consent", lambda: "consent" in self.one("input[name=prompt]").get_attribute("value"))
        self.one("[type=submit]").click()

    def said(self):
        return json.loads(self.one("body").text)

    def host(self):
        return self.site.split("://")[1].split(":")[0]

    def keep(self, session):
        """Puts another session in the place of its own."""
        kept = {"name": "__Host-sid", "value": session, "path": "/", "secure": True, "httpOnly": True, "sameSite": "Lax"}
        self.driver.add_cookie(kept)


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
    expect(browser.fetched("/admin/data")[0], 200)
    # The access token lasts some seconds: the session goes on with a new one, and is written anew.
    browser.until("it is refreshed", lambda: (browser.go("/admin/again"), browser.cookie("__Host-sid")["value"] != cookie["value"])[1])
    expect(browser.said()["user"], "ann")
    browser.go("/logout?return=/bye%3Fa")
    browser.until("the provider asks whether to log out", lambda: browser.one("button[name=logout]"))
    browser.one("button[name=logout]").click()
    browser.at("/bye?a")
    expect(browser.cookie("__Host-sid"), None)
    expect(browser.fetched("/admin/data")[0], 401)
    expect(browser.fetched("/admin/data", method="POST")[0], 401)
    browser.go("/admin/users")
    browser.until("the provider asks again", browser.is_asked)


def idle(browser):
    browser.go("/admin/a")
    browser.log_in("ann")
    browser.at("/admin/a")
    # The browser forgets it when nobody used it for 30 minutes.
    left = lambda: browser.cookie("__Host-sid")["expiry"] - time.time()
    expect(29 * 60 < left() < 31 * 60, True)
    now = int(time.time())
    # One that was used last 28 minutes ago: it is used again, and goes on.
    held = {"s": "ann", "b": now - 1680, "x": now + 120, "e": now + 40_000, "i": 1800, "c": [["email", "ann@old.test"]]}
    browser.keep(seal(KEY, held, browser.host(), ISSUER))
    browser.go("/admin/b")
    expect(browser.said(), {"user": "ann", "email": "ann@old.test", "target": "/admin/b"})
    expect(29 * 60 < left() < 31 * 60, True)
    # One that nobody used for so long, in a browser whose clock is behind.
    browser.keep(seal(KEY, {**held, "x": now - 1}, browser.host(), ISSUER))
    # The provider still knows who it is, and sends the browser back at once.
    browser.go("/admin/c?d")
    browser.at("/admin/c?d")
    expect(browser.said()["email"], "ann@corp.test")


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
    expect(browser.fetched("/partner/data")[0], 401)
    expect(browser.fetched("/admin/data")[0], 200)


drive(Logins, sys.argv[2], {"whole": whole, "idle": idle, "two": two}[sys.argv[1]])
