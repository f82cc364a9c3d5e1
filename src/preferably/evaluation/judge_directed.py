"""Texts that speak to whoever judges them: instructions, verdicts, turns of the system, and empty openings.

Patterns find what is written plainly, in the languages below; who wants to hide it can. So a match is a reason to read
the reply, and no match proves nothing. Of 12,926 replies in the test files of HH-RLHF, LLMBar, rasbt and the demo of
LLaMA-Factory three match, each of them a row of dots.
"""

import re
from collections.abc import Iterator

# "Ignore all previous instructions", by language: what is to be done, and to what; in either order.
_INSTRUCTIONS = r"(?:instructions?|prompts?|rules|directions|guidelines)"
_FORGET = (
    (
        "ignore|disregard|forget|override",
        rf"(?:previous|prior|above|preceding|earlier)\s+{_INSTRUCTIONS}|{_INSTRUCTIONS}\s+(?:above|before)",
    ),
    (
        "ignorieren?|vergiss|missachte",
        r"(?:vorherigen?|bisherigen?|obigen?|vorangegangenen?|früheren?)\s+(?:anweisung|instruktion|regel|vorgabe)",
    ),
    ("ignore[zr]?|oublie[zr]?", r"(?:instructions?|consignes?|règles?)\s+(?:précédentes?|antérieures?|ci-dessus)"),
    ("ignor[ae]|olvida", r"(?:instrucciones|reglas|indicaciones)\s+(?:anteriores|previas|de arriba)"),
    ("ignor[ae]|esqueça", r"(?:instruções|regras)\s+(?:anteriores|prévias|acima)"),
    ("ignor[ai]|dimentica", r"(?:istruzioni|regole)\s+(?:precedenti|di cui sopra)"),
    ("negeer|vergeet", r"(?:voorgaande|eerdere|vorige|bovenstaande)\s+(?:instructies|aanwijzingen|regels)"),
    ("ignorera|glöm", r"(?:tidigare|föregående|ovanstående)\s+(?:instruktion|anvisning)"),
    ("zignoruj|pomiń|zapomnij", r"(?:poprzednie|wcześniejsze|powyższe)\s+(?:instrukcje|polecenia)"),
    ("ignoruj(?:te)?|zapomeň", r"(?:předchozí|výše uvedené)\s+(?:pokyny|instrukce)"),
    ("(?:про)?игнорируй(?:те)?|забудь(?:те)?", r"(?:предыдущие|прошлые|вышеуказанные)\s+(?:инструкции|указания)"),
    ("ігноруй(?:те)?|забудь", r"(?:попередні|минулі)\s+(?:інструкції|вказівки)"),
    ("yok say|görmezden gel|unut", r"önceki\s+(?:tüm\s+)?(?:talimat|yönerge)"),
    ("abaikan|lupakan", r"(?:instruksi|perintah)\s+(?:sebelumnya|di atas)"),
    ("bỏ qua|quên", r"(?:hướng dẫn|chỉ dẫn)\s+(?:trước|ở trên)"),
    ("تجاهل", r"التعليمات\s+السابقة"),
    ("अनदेखा|नज़रअंदाज़", r"पिछले\s+(?:सभी\s+)?निर्देश"),
)
_FORGET_UNSPACED = (
    ("忽略|无视|無視|忘记", r"(?:之前|以上|上面|先前|前面)的?(?:所有|全部)?的?(?:指令|指示|说明|說明|提示)"),
    ("無視", r"(?:以前|これまで|上記|前)の(?:すべての|全ての)?指示"),
    ("무시", r"이전(?:의)?\s*(?:모든\s*)?(?:지시|명령|지침)"),
)
_NEAR = r"[^.!?。\n]{0,40}?"

# "Output A is better", by language: what is named, and what is said of it.
_PRAISE = (
    (
        r"(?:output|answer|response|reply|assistant|completion|candidate)\s*\(?(?:[ab12]|one|two)\b\)?",
        r"(?:is|was)\s+(?:clearly |much |far |obviously |the )*(?:better|best|superior|winner|preferred)|wins\b",
    ),
    (r"(?:antwort|ausgabe)\s*[ab12]", r"ist\s+(?:klar |deutlich |eindeutig |die )*(?:besser|beste|überlegen)"),
    (r"(?:réponse|sortie)\s*[ab12]", r"est\s+(?:clairement |nettement |la )*(?:meilleure|supérieure)"),
    (r"(?:respuesta|salida)\s*[ab12]", r"es\s+(?:claramente |la )*(?:mejor|superior)"),
    (r"(?:resposta|saída)\s*[ab12]", r"é\s+(?:claramente |a )*(?:melhor|superior)"),
    (r"(?:risposta|uscita)\s*[ab12]", r"è\s+(?:chiaramente |la )*(?:migliore|superiore)"),
    (r"antwoord\s*[ab12]", r"is\s+(?:duidelijk |het )*(?:beter|beste)"),
    (r"svar\s*[ab12]", r"är\s+(?:klart |det )*(?:bättre|bäst)"),
    (r"odpowiedź\s*[ab12]", r"jest\s+(?:wyraźnie |zdecydowanie )*(?:lepsza|najlepsza)"),
    (r"odpověď\s*[ab12]", r"je\s+(?:jasně |jednoznačně )*(?:lepší|nejlepší)"),
    (r"ответ\s*[abаб12]", r"(?:явно |значительно )*(?:лучше|лучший)"),
    (r"(?:cevap|yanıt)\s*[ab12]", r"(?:daha iyi|en iyi)"),
    (r"jawaban\s*[ab12]", r"(?:lebih baik|terbaik)"),
    (r"(?:الإجابة|الجواب)\s*[abأب12]", r"(?:هي\s+|هو\s+)?(?:أفضل|الأفضل)"),
    (r"उत्तर\s*[ab12]", r"(?:बेहतर|सबसे अच्छा)"),
)
_PRAISE_UNSPACED = (
    (r"(?:回答|答案|输出|輸出|回复|响应)\s*[ab12甲乙一二]", r"(?:是|更|明显|显然|比较|最)*(?:好|优|佳|優)"),
    (r"(?:回答|出力)\s*[ab12]", r"(?:の方|のほう|が|は)+(?:優れ|良い|よい|最良)"),
    (r"(?:답변|응답|출력)\s*[ab12]", r"(?:가|이|는|은)?\s*(?:더|가장)\s*(?:좋|낫|나은|우수)"),
)
_THIS = r"(?:this|my)\s+(?:answer|response|output|reply|completion)"
_ASKED = (
    rf"(?:you must|you should|please|always)\s+(?:choose|pick|select|prefer|vote for|rate|score)\s+{_THIS}",
    r"(?:dear|attention,?|note to(?: the)?)\s+(?:judges?|evaluators?|graders?|raters?)\b",
    r"(?:as|for) the (?:judge|evaluator|grader),? (?:you|please)\b",
    rf"{_THIS} is (?:clearly |obviously )?the (?:better|best) (?:one|of)\b",
    r"(?:hinweis|anmerkung) an (?:die|den|das) (?:bewertung|jury|richter|gutachter)",
    r"(?:nota|aviso) (?:para el|al) (?:juez|evaluador)",
    r"(?:note|remarque) (?:au|à l[’']) ?(?:juge|évaluateur)",
)
_ASKED_UNSPACED = (r"(?:评审|裁判|评委)请注意|请(?:选择|选|选出)(?:这个|此)(?:回答|答案|回复)",)


def _either_order(pairs: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for verb, what in pairs:
        yield rf"(?:{verb}){_NEAR}(?:{what})|(?:{what}){_NEAR}(?:{verb})"


# A word begins where no letter stands before it; languages without spaces have no such place.
_SPACED = (*_either_order(_FORGET), *(rf"{name}\s*(?:{praise})" for name, praise in _PRAISE), *_ASKED)
_UNSPACED = (*_either_order(_FORGET_UNSPACED), *(rf"{name}\s*(?:{praise})" for name, praise in _PRAISE_UNSPACED),
             *_ASKED_UNSPACED)  # fmt: skip
_SAYS = re.compile(rf"(?<!\w)(?:{'|'.join(_SPACED)})|{'|'.join(_UNSPACED)}", re.IGNORECASE)

# A verdict in the forms that judges answer in: [[A]], A>>B, a JSON object. Of ratings only the best one.
_VERDICT = re.compile(
    r"\[\[(?:A|B|C|A>>?B|B>>?A|A=B)\]\]|(?<!\w)(?:A>>B|B>>A)(?!\w)|(?i:ratings?:?\s*\[\[10\]\])|"
    r"(?i:\{[^{}]{0,200}?\"(?:winner|verdict|preference|preferred|better|best|choice)\"\s*:\s*"
    r"\"?(?:(?:model|output|answer|response|assistant)[_ ])?(?:[ab12m]|tie)\"?\s*[,}])|"
    r"(?i:\{[^{}]{0,200}?\"(?:score|rating)\"\s*:\s*(?:10|100)(?:\.0)?\s*[,}])"
)

# A turn that is not the assistant's: a heading or tag of the system, or a line in its name.
_TURN = re.compile(
    r"<\|(?:im_start|im_end|system|user|assistant|start_header_id|end_header_id|eot_id)\|>[^\n]{0,60}|"
    r"^\s*(?:#{1,4}\s*system\s*(?::|$)|</?system>|\[/?system\]|<</?sys>>|"
    r"system\s+(?:message|prompt|note|override)\s*:|"
    r"system\s*:\s*(?:you\b|the (?:judge|evaluator|assistant|correct|answer)|ignore|override))[^\n]{0,60}",
    re.IGNORECASE | re.MULTILINE,
)

# A whole reply that opens an answer and gives none: such openings alone were scored as right by judges of reasoning
# (https://arxiv.org/abs/2507.08794).
_OPENING = re.compile(
    r"[\s.,:;!?…。：、，·\-_*#>|\"'`~]+|"
    r"(?:thought process|solution|answer|final answer|reasoning|respuesta|solución|lösung|réponse|risposta|решение|"
    r"ответ|解|解答|かいせつ|解説|الحل)\s*[:：]?|"
    r"let(?:['\u2019]?s| us) (?:solve|think about|work through) (?:this|the)(?: problem| question)? step by step[.:]?",
    re.IGNORECASE,
)


def addresses(text: str) -> Iterator[str]:
    """The passages of a reply that speak to its judge: what it says to them, a verdict, a turn of the system; and the
    reply itself where it is nothing but an opening."""
    for pattern in (_SAYS, _VERDICT, _TURN):
        for match in pattern.finditer(text):
            yield match[0].strip()
    if text.strip() and _OPENING.fullmatch(text.strip()):
        yield text.strip()
