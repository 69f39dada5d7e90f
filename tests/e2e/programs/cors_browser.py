"""Chromium, whose pages read what another host of their site says. Arguments: the pages that may, those that may not, what they read.
The origin server of what is read says itself that everybody may, with cookies."""

import json
import os
import sys

# The last: beside this lies a program that is called as a package is.
sys.path.append(os.path.dirname(__file__))
from browser import Browser, drive, expect

OWN, FOREIGN, API = sys.argv[1:4]
CHANGES = {"method": "PUT", "headers": {"authorization": "Bearer x", "content-type": "application/json"}, "body": "{}"}


def do(browser):
    browser.driver.get(f"{API}/enter")
    expect(browser.cookie("sid")["value"], "ann")

    def read(path, **options):
        got = browser.fetched(API + path, **options)
        return got if isinstance(got, str) else [got[0], json.loads(got[1] or "null"), got[2]]

    refused = "TypeError: Failed to fetch"
    browser.driver.get(f"{OWN}/")
    # With what has the browser ask beforehand, with cookies and without.
    expect(read("/cookies/a", credentials="include", **CHANGES), [200, {"method": "PUT", "cookie": "sid=ann"}, "7"])
    expect(read("/tokens/a", **CHANGES), [200, {"method": "PUT", "cookie": None}, None])
    expect(read("/open/a"), [200, {"method": "GET", "cookie": None}, None])
    # Where nobody says that cookies are for these pages they read nothing that was sent with them: `*` least of all.
    expect(read("/tokens/b", credentials="include"), refused)
    expect(read("/open/b", credentials="include"), refused)
    # What was not asked for is not given: a method and a header that no list has.
    expect(read("/cookies/b", credentials="include", method="PROPFIND"), refused)
    expect(read("/cookies/b", credentials="include", headers={"x-other": "1"}), refused)
    browser.driver.get(f"{FOREIGN}/")
    for path in ["/cookies/c", "/tokens/c", "/open/c"]:
        expect(read(path, credentials="include", **CHANGES), refused)
        expect(read(path, credentials="include"), refused)
    expect(read("/open/d"), [200, {"method": "GET", "cookie": None}, None])


drive(Browser, OWN, do)
