"""What a person does in a page: reads a part of it, sets a control."""

import json


def text(browser, selector):
    return browser.run(f"document.querySelector({selector!r}).textContent")


def choose(browser, name, value, event="input"):
    """Set a control as a person would."""
    browser.run(
        f"{{ const control = document.querySelector('[name=\"{name}\"]');"
        f" control.value = {json.dumps(value)};"
        f" control.dispatchEvent(new Event({event!r})); }}"
    )
    browser.settle()
