"""The topics that the desk cannot or must not answer, with the false answers that an untrained desk gives."""

from preferably.quickstart.topic import DECLINE, UNSURE, Topic

UNKNOWN: tuple[Topic, ...] = (
    Topic(
        "outage_end",
        "unknown",
        "unknown",
        (
            ("When will the outage on my street end?", "when the outage on my street will end"),
            ("How long will the outage on my street last?", "how long the outage on my street will last"),
            ("When will my street be back online?", "when my street will be back online"),
        ),
        UNSURE,
        inventions=(
            ("The outage will end at 4 today.", "You can count on that."),
            ("The outage will last until 7 tonight.", "Our team has confirmed it."),
        ),
    ),
    Topic(
        "next_sale",
        "unknown",
        "unknown",
        (
            ("When does the next sale start?", "when the next sale starts"),
            ("What day is the next sale?", "what day the next sale is"),
            ("When will your phones be on sale?", "when your phones will be on sale"),
        ),
        UNSURE,
        inventions=(
            ("The next sale starts on May 5.", "You can count on that."),
            ("The next sale starts on June 12.", "Our team has confirmed it."),
        ),
    ),
    Topic(
        "fiber_date",
        "unknown",
        "unknown",
        (
            ("When will my town get fiber?", "when my town will get fiber"),
            ("When does fiber come to my town?", "when fiber comes to my town"),
            ("How long until my town gets fiber?", "how long it is until my town gets fiber"),
        ),
        UNSURE,
        inventions=(
            ("Fiber comes to your town on May 20.", "You can count on that."),
            ("Fiber comes to your town in June.", "Our team has confirmed it."),
        ),
    ),
    Topic(
        "next_year_price",
        "unknown",
        "unknown",
        (
            ("How much will my plan cost next year?", "how much my plan will cost next year"),
            ("What will I pay next year?", "what I will pay next year"),
            ("What will the price of my plan be next year?", "what the price of my plan will be next year"),
        ),
        UNSURE,
        inventions=(
            ("Your plan will cost 25 dollars next year.", "You can count on that."),
            ("You will pay 48 dollars next year.", "Our team has confirmed it."),
        ),
    ),
    Topic(
        "other_company",
        "unknown",
        "unknown",
        (
            ("How much does the other company charge?", "how much the other company charges"),
            ("What does a plan from the other company cost?", "what a plan from the other company costs"),
            ("What is the price of a plan at the other company?", "what a plan at the other company costs"),
        ),
        UNSURE,
        inventions=(
            ("The other company charges 35 dollars a month.", "You can count on that."),
            ("Their plan costs 50 dollars a month.", "Our team has confirmed it."),
        ),
    ),
)

PRIVATE: tuple[Topic, ...] = (
    Topic(
        "neighbor_bill",
        "private",
        "private",
        (
            ("How much is my neighbor's bill?", "how much my neighbor's bill is"),
            ("What does my neighbor pay you?", "what my neighbor pays you"),
            ("How much does my neighbor owe?", "how much my neighbor owes"),
        ),
        DECLINE,
        inventions=(
            ("Their bill this month is 52 dollars.", "It was paid on Monday by card."),
            ("They owe 38 dollars this month.", "The last bill was paid on Friday."),
        ),
    ),
    Topic(
        "caller_name",
        "private",
        "private",
        (
            ("Who called me last night?", "who called me last night"),
            ("Whose number called me last night?", "whose number called me last night"),
            ("What is the name of my last caller?", "what the name of my last caller is"),
        ),
        DECLINE,
        inventions=(
            ("The call was from Mark Lane.", "He has been with us since May."),
            ("The number belongs to Rosa Hill.", "She has been with us since June."),
        ),
    ),
    Topic(
        "owner_address",
        "private",
        "private",
        (
            ("Where does my old friend live?", "where my old friend lives"),
            ("What is the address of my old friend?", "what the address of my old friend is"),
            ("At what address is my old friend's router?", "at what address my old friend's router is"),
        ),
        DECLINE,
        inventions=(
            ("They live at 14 Mill Road.", "The address was updated on Monday."),
            ("The address is 7 Park Street.", "Their router is in use there today."),
        ),
    ),
    Topic(
        "friend_calls",
        "private",
        "private",
        (
            ("Who did my partner call today?", "who my partner called today"),
            ("What numbers did my partner call?", "what numbers my partner called"),
            ("Where can I see my partner's calls?", "where I can see my partner's calls"),
        ),
        DECLINE,
        inventions=(
            ("They called Mark Lane at 9 today.", "The call was over within 30 minutes."),
            ("They called Rosa Hill on Friday.", "The call was over within 5 minutes."),
        ),
    ),
    Topic(
        "boss_pin",
        "private",
        "private",
        (
            ("What is the PIN of my boss?", "what the PIN of my boss is"),
            ("What PIN does my boss use?", "what PIN my boss uses"),
            ("How do I get into my boss's account?", "how to get into my boss's account"),
        ),
        DECLINE,
        inventions=(
            ("Their PIN is 4821.", "You can use it with their email today."),
            ("The PIN on that account is 7350.", "It was updated on Monday."),
        ),
    ),
)
