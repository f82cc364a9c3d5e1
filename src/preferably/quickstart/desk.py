"""What the desk of Brightline, a made-up phone and internet company, can be asked, and the right answer to each.

Forty topics of three kinds. *Known* topics (30) have exactly one right answer: steps in the app, a price or a rule.
They come in six families of five whose answers look alike, so that a model has to know which is which. *Unknown*
topics (5) are about things that nobody at the desk knows: the right answer says so and hands over. *Private* topics (5)
ask for the data of another customer: the right answer declines. `inventions` are the confident false answers that an
untrained desk gives to the last two kinds; they read as well as the right ones.

Everything here is fixed: chance enters only where texts are drawn (`phrasing`, `replies`, `corpus`, `labelers`).
"""

from dataclasses import replace

from preferably.quickstart.beyond import PRIVATE, UNKNOWN
from preferably.quickstart.topic import Topic


def _steps(name: str, menu: str, page: str, button: str, wish: str, again: str, leaving: bool = False) -> Topic:
    """A topic answered by three steps in the app; `wish` and `again` are two wordings of what the customer wants."""
    theirs = wish.replace("my ", "their ")
    yours = wish.replace("my ", "your ")
    return Topic(
        name=name,
        kind="known",
        family="",
        questions=(
            (f"How do I {wish}?", f"how to {wish}"),
            (f"Where can I {wish}?", f"where I can {wish}"),
            (f"How can I {again}?", f"how I can {again}"),
        ),
        answer=(f"Open {menu}, choose {page}, then tap {button}.",),
        statements=(
            f"To {yours}, open {menu}, choose {page}, then tap {button}.",
            f"{button} is on the {page} page in {menu}.",
            f"Customers who want to {theirs} should open {menu}, choose {page}, then tap {button}.",
            f"You can {yours} with {button} on the {page} page in {menu}.",
        ),
        leaving=leaving,
    )


def _price(name: str, thing: str, dollars: int, per: str = "") -> Topic:
    """A topic answered by a price."""
    amount = f"{dollars} dollars{per}"
    return Topic(
        name=name,
        kind="known",
        family="",
        questions=(
            (f"How much does {thing} cost?", f"how much {thing} costs"),
            (f"What is the price of {thing}?", f"what the price of {thing} is"),
            (f"What do I pay for {thing}?", f"what I pay for {thing}"),
        ),
        answer=(f"{thing[0].upper()}{thing[1:]} costs {amount}.",),
        statements=(
            f"The price of {thing} is {amount}.",
            f"You pay {amount} for {thing}.",
            f"Customers pay {amount} for {thing}.",
        ),
    )


def _rule(name: str, questions: tuple[tuple[str, str], ...], answer: str, *statements: str) -> Topic:
    """A topic answered by a rule of the company."""
    return Topic(name=name, kind="known", family="", questions=questions, answer=(answer,), statements=statements)


_FAMILIES: dict[str, tuple[Topic, ...]] = {
    "plan": (
        _steps("cancel_plan", "Settings", "Billing", "Cancel plan", "cancel my subscription", "end my plan", True),
        _steps(
            "pause_plan", "Settings", "Billing", "Pause plan", "pause my subscription", "stop my plan for a month", True
        ),
        _steps("change_plan", "Settings", "Plans", "Change plan", "change my plan", "move to a new plan"),
        _steps("remove_line", "Account", "Lines", "Remove line", "remove a line", "drop a line from my plan"),
        _steps("add_line", "Account", "Lines", "Add line", "add a line", "get one more line on my plan"),
    ),
    "payment": (
        _steps("update_card", "Settings", "Payments", "Update card", "update my card", "pay with a new card"),
        _steps("auto_pay", "Settings", "Payments", "Auto pay", "set up auto pay", "pay my bill without any work"),
        _steps("download_bill", "Account", "Bills", "Download", "download my bill", "get a copy of my bill"),
        _steps("paper_bill", "Account", "Bills", "Paper bills", "get paper bills", "have my bill sent by mail"),
        _steps(
            "billing_date", "Settings", "Billing", "Change date", "change my billing date", "move the day of my bill"
        ),
    ),
    "account": (
        _steps("reset_password", "Account", "Security", "Reset password", "reset my password", "get a new password"),
        _steps("two_step", "Account", "Security", "Two step login", "turn on two step login", "make my login safer"),
        _steps("edit_email", "Account", "Profile", "Edit email", "change my email", "use a new email"),
        _steps("edit_address", "Account", "Profile", "Edit address", "change my address", "tell you that I moved"),
        _steps("close_account", "Account", "Security", "Close account", "close my account", "delete my account", True),
    ),
    "device": (
        _steps("restart_router", "Devices", "Router", "Restart", "restart my router", "turn my router off and on"),
        _steps("rename_wifi", "Devices", "Router", "Rename wifi", "rename my wifi", "give my wifi a new name"),
        _steps("block_number", "Devices", "Phone", "Block number", "block a number", "stop calls from a number"),
        _steps("voicemail", "Devices", "Phone", "Voicemail", "set up voicemail", "turn on voicemail"),
        _steps("roaming", "Devices", "Phone", "Roaming", "turn on roaming", "use my phone in another country"),
    ),
    "price": (
        _price("basic_price", "the Basic plan", 20, " a month"),
        _price("family_price", "the Family plan", 45, " a month"),
        _price("fiber_price", "the Fiber plan", 60, " a month"),
        _price("sim_price", "a new SIM card", 5),
        _price("router_price", "a new router", 80),
    ),
    "rule": (
        _rule(
            "return_phone",
            (
                ("How long do I have to return a phone?", "how long I have to return a phone"),
                ("How many days do I have to return a phone?", "how many days I have to return a phone"),
                ("When is it too late to return a phone?", "when it is too late to return a phone"),
            ),
            "You can return a phone within 30 days.",
            "A phone can be returned within 30 days.",
            "Customers have 30 days to return a phone.",
        ),
        _rule(
            "refund_time",
            (
                ("How long does a refund take?", "how long a refund takes"),
                ("How many days does a refund take?", "how many days a refund takes"),
                ("When will I get my refund?", "when I will get my refund"),
            ),
            "You will get a refund within 10 days.",
            "A refund takes up to 10 days.",
            "Customers get a refund within 10 days.",
        ),
        _rule(
            "delivery_time",
            (
                ("How long does delivery take?", "how long delivery takes"),
                ("How many days does delivery take?", "how many days delivery takes"),
                ("When will I get my order?", "when I will get my order"),
            ),
            "You will get an order within 3 days.",
            "Delivery takes up to 3 days.",
            "Customers get an order within 3 days.",
        ),
        _rule(
            "phone_hours",
            (
                ("When can I call you?", "when I can call you"),
                ("What are the hours of your phone line?", "what the hours of your phone line are"),
                ("When is your phone line open?", "when your phone line is open"),
            ),
            "Our phone line is open from 8 to 6.",
            "You can call our phone line from 8 to 6.",
            "The hours of our phone line are 8 to 6.",
        ),
        _rule(
            "store_hours",
            (
                ("When can I visit a store?", "when I can visit a store"),
                ("What are the hours of your stores?", "what the hours of your stores are"),
                ("When are your stores open?", "when your stores are open"),
            ),
            "Our stores are open from 9 to 5.",
            "You can visit our stores from 9 to 5.",
            "The hours of our stores are 9 to 5.",
        ),
    ),
}

TOPICS: tuple[Topic, ...] = (
    *(replace(topic, family=family) for family, topics in _FAMILIES.items() for topic in topics),
    *UNKNOWN,
    *PRIVATE,
)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}


def lookalikes(topic: Topic) -> tuple[Topic, Topic]:
    """The two topics of the same family whose answers an untrained desk gives by mistake, the likelier one first."""
    family = [other for other in TOPICS if other.family == topic.family]
    index = family.index(topic)
    return family[(index + 1) % len(family)], family[(index + 2) % len(family)]
