"""What a prompt asks for, by its own words: the seed's patterns, their meaning carried on to the
languages that people write in.

Easy: one fact, a list, a text said in other words. Hard: several things weighed, causes found,
something designed, proved or planned. Each cue is known by words of its meaning, not by whole
prompts; Vietnamese and English first, each also without diacritics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from noibo.routing.phrases import Phrases, fold

Side = Literal["easy", "hard", "brief", "limit", "neutral"]


@dataclass(frozen=True, slots=True)
class Cue:
    """`told`: in English and in Vietnamese, as a reason."""

    name: str
    side: Side
    told: tuple[str, str]
    phrases: tuple[str, ...]


def _cue(name: str, side: Side, english: str, vietnamese: str, *phrases: str) -> Cue:
    split = [one.strip() for line in phrases for one in line.split("|")]
    return Cue(name, side, (english, vietnamese), tuple(split))


CUES: Final = (
    _cue(
        "define", "easy", "asks what something is", "hỏi một thứ là gì",
        "là gì|nghĩa là|định nghĩa|viết tắt của|nghĩa của từ|tên là gì|khái niệm",
        "what is|what is a|what is an|what s|what are|what was|define|definition of|meaning of",
        "stands for|stand for",
        "qué es|qué son|qué significa|qu est ce|c est quoi|que signifie|was ist|was sind|bedeutet",
        "che cos|cosa e|o que é|o que significa|что такое|что значит|是什么|什么是|何ですか",
        "とは何",
        "뭐야|무엇인가|무엇입니까|뜻은|คืออะไร",
    ),
    _cue(
        "fact", "easy", "asks when, where or who", "hỏi khi nào, ở đâu hay ai",
        "khi nào|ở đâu|ai là|là ai|mấy giờ|năm nào|ngày nào|thứ mấy|tầng mấy|bao giờ|chỗ nào|^ai",
        "ngày mấy|tháng nào|nước nào|thành phố nào|người nào|do ai|tỉnh nào|số mấy",
        "^who|^where|^when is|^when was|^when did|^when does|^when do|^when will|^when are",
        "^when were|what year|which year|what time|what date|what day|which city|which country",
        "what color|what colour|which planet|which animal|^whose|who wrote|who is|who was",
        "cuándo|dónde|^quién|quand|où est|où se|qui est|qui a|wann|^wo|^wer|quando|dove|chi è",
        "onde fica|quem|когда|где|кто|什么时候|何时|哪里|在哪|谁|哪个国家|いつ|どこ|誰|언제|어디",
        "누구",
    ),
    _cue(
        "count", "easy", "asks how many", "hỏi bao nhiêu",
        "bao nhiêu|có mấy|bằng mấy|còn mấy|how many|how much|how old|how far|how long|how tall",
        "how high|cuántos|cuántas|cuánto|combien|wie viel*|wie alt|quanti|quanto|quantos|сколько",
        "多少|几个|几岁|いくつ|何人|何個|얼마|몇",
    ),
    _cue(
        "list", "easy", "asks for a list", "yêu cầu liệt kê",
        "liệt kê|danh sách|kể tên|có những|gồm những|những loại nào|những gì|nêu tên",
        "^list|list the|list all|list of|list three|list five|name the|name three|^name|enumerat*",
        "give me a list|^enumera|^lista|^liste|énumérer|énumère|auflist*|nenne|elenca*|перечисл*",
        "列出|列举|一覧|リスト|挙げて|나열|목록",
    ),
    _cue(
        "translate", "easy", "asks for a translation", "yêu cầu dịch",
        "^dịch|dịch câu|dịch sang|dịch giúp|dịch đoạn|dịch từ|dịch ra|bản dịch|dịch văn bản",
        "translat*|traduc*|tradui*|traduz*|tradurre|übersetz*|переве*|翻译|译成|翻訳|訳して|번역",
    ),
    _cue(
        "summarise", "easy", "asks for a summary", "yêu cầu tóm tắt",
        "tóm tắt|tóm lược|rút gọn|tóm lại|ý chính",
        "summari*|summary|tldr|tl dr|condense|shorten|key points of|main points|resum*|résum*",
        "zusammenfass*|^fasse|riassum*|суммир*|резюм*|总结|概括|摘要|要約|まとめて|요약",
    ),
    _cue(
        "rewrite", "easy", "asks to reword or correct", "yêu cầu viết lại hay sửa câu chữ",
        "viết lại|chính tả|diễn đạt lại|đổi tên|nói cách khác|sửa ngữ pháp|thay từ",
        "rewrit*|rephras*|paraphras*|reword*|proofread*|grammar|spelling|spell check|typo*|rename",
        "fix the punctuation|make it more polite|more polite|reescrib*|reformul*|corrig*",
        "korrigier*",
        "umschreib*|umformulier*|riscriv*|reescrev*|перепиш*|исправ*|改写|润色|改错|書き直",
        "書き換え",
        "校正|言い換え|다시 써|고쳐|바꿔 써",
    ),
    _cue(
        "chat", "easy", "is small talk", "là câu trò chuyện xã giao",
        "xin chào|^chào|cảm ơn|cám ơn|tạm biệt|chúc ngủ ngon|bạn khỏe|bạn là ai|chúc mừng",
        "^hello|^hi|^hey|good morning|good afternoon|good night|good evening|thanks|thank you",
        "how are you|who are you|tell me a joke|a joke|chuyện cười|^hola|gracias|bonjour|merci",
        "^hallo|guten tag|danke|^ciao|grazie|obrigad*|привет|спасибо|你好|谢谢|こんにちは",
        "ありがとう|안녕",
        "감사합니다",
    ),
    _cue(
        "convert", "easy", "asks to convert, sort out or extract", "yêu cầu đổi dạng hay trích ra",
        "^đổi|quy đổi|đổi sang|chuyển thành|chuyển danh sách|^chuyển câu|^trích|trích xuất|lọc ra",
        "convert*|reformat*|extract*|alphabetical*|capitali*|uppercase|lowercase|to json|to csv",
        "fill in the blank*|điền vào|convierte|convertir|extrae*|extrais*|extrahier*|umwandel*",
        "конверт*|извлек*|转换|提取|换算|変換|抽出|변환|추출",
    ),
    _cue(
        "brief", "brief", "wants it short or in plain words", "muốn ngắn gọn, dễ hiểu",
        "ngắn gọn|thật ngắn|nói ngắn|ngắn|vài chữ|một câu|hai câu|ba câu|trong một từ|một dòng",
        "ba gạch đầu dòng|vài gạch đầu dòng|dễ hiểu|lời đơn giản|từ đơn giản|sơ lược",
        "brief*|concise*|short|shortly|one sentence|two sentences|a sentence|one paragraph",
        "a paragraph|one line|a line|one word|a word|few words|plain language|plain english",
        "plain terms|plain words|simple terms|simple language|simple words|simply|in short",
        "three bullets|few bullets|bullet points|eli5|for a child|year old|first time|layman*",
        "fastest|quick*|beginner*|breve*|brève|lenguaje sencillo|palabras sencillas|sencill*",
        "termes simples|mots simples|simplement|kurz*|einfache*|semplic*|palavras simples|кратко",
        "простыми словами|简短|简单|简洁|一句话|简要|通俗|短く|簡単|簡潔|一文で|わかりやすく",
        "간단|짧게|한 문장|쉽게",
    ),
    _cue(
        "compare", "hard", "asks to compare", "yêu cầu so sánh",
        "so sánh|đối chiếu|khác biệt giữa|ưu nhược điểm|ưu điểm và nhược điểm|ưu và nhược",
        "mặt lợi và hại|hơn kém|compar*|contrast|versus|vs|difference between|differences between",
        "pros and cons|strengths and weaknesses|advantages and disadvantages|which is better",
        "ventajas|desventajas|avantages|inconvénients|vergleich*|vorteile|nachteile|confront*",
        "vantaggi|vantagens|сравн*|преимущества|比较|对比|优缺点|比較|長所|비교|장단점",
    ),
    _cue(
        "tradeoff", "hard", "asks to weigh one thing against another", "yêu cầu cân nhắc đánh đổi",
        "đánh đổi|cân nhắc|hai phía|cân bằng giữa|cân bằng lợi ích|mâu thuẫn|xung đột lợi ích",
        "trade off*|tradeoff*|weigh|weighing|balance between|both sides|compromis*|kompromis*",
        "abwäg*|contrapartid*|arbitrage*|權衡|权衡|取舍|利弊|トレードオフ|兼ね合い|절충",
        "компромисс*",
    ),
    _cue(
        "why", "hard", "asks why", "hỏi tại sao",
        "tại sao|vì sao|nguyên nhân|lý do|lí do|cớ sao|sao lại|why|how come|reasons for",
        "reason for",
        "causes of|cause of|por qué|pourquoi|warum|weshalb|perché|por que|почему|зачем|为什么",
        "为何",
        "原因|なぜ|どうして|왜|원인|ทำไม",
    ),
    _cue(
        "analyse", "hard", "asks to analyse or judge", "yêu cầu phân tích, đánh giá",
        "phân tích|đánh giá|xem xét|bình luận|phản biện|lập luận|nhận định|mổ xẻ|khoảng trống",
        "analy*|assess*|evaluat*|apprais*|critiqu*|critically|argue|argument for|examine|scrutin*",
        "deliberat*|adversarial*|analiz*|analis*|evalú*|evalua*|bewert*|beurteil*|valut*|avali*",
        "анализ*|проанализ*|оцен*|分析|评估|评价|审查|评审|評価|検討|審査|평가|분석|검토",
    ),
    _cue(
        "propose", "hard", "asks for a proposal or advice", "yêu cầu đề xuất, khuyến nghị",
        "đề xuất|khuyến nghị|giải pháp|phương án|hướng xử trí|cách xử trí|kiến nghị|nên chọn",
        "propos*|recommend*|advise|come up with a solution|solutions for|solution to|propon*",
        "recomiend*|recomend*|recommand*|vorschlag*|vorschläg*|empfehl*|empfiehl*|raccomand*",
        "предлож*|рекоменд*|建议|方案|提案|推奨|제안|추천|해결책|방안",
    ),
    _cue(
        "predict", "hard", "asks for a forecast", "yêu cầu dự đoán",
        "dự đoán|dự báo|xu hướng|tương lai|viễn cảnh|predict*|forecast*|trend|trends|future",
        "outlook|projections|scenario planning|predic*|predec*|prédi*|pronosti*|tendencia*",
        "tendance*|prognos*|vorhersag*|zukunft|futuro|avenir|prevision*|прогноз*|предска*|будущ*",
        "预测|趋势|未来|予測|傾向|将来|예측|추세|미래|전망",
    ),
    _cue(
        "design", "hard", "asks to design something", "yêu cầu thiết kế",
        "thiết kế|kiến trúc|xây dựng khung|xây dựng hệ thống|xây dựng mô hình|xây dựng bộ",
        "xây dựng quy trình|design|designs|designing|architect*|build a system|build an end",
        "develop a framework|diseñ*|concev*|conçois|entwirf|entwerf*|architektur*|arquitect*",
        "progett*|arquitet*|спроектир*|архитектур*|设计|架构|設計|アーキテクチャ|설계|아키텍처",
    ),
    _cue(
        "plan", "hard", "asks for a plan or strategy", "yêu cầu kế hoạch, chiến lược",
        "kế hoạch|lộ trình|chiến lược|phác đồ|giai đoạn|kịch bản|plan|plans|planning|roadmap*",
        "runbook*|playbook*|strateg*|migrat*|phased|rollback|milestone*|rollout|cutover|planif*",
        "estrateg*|stratég*|strategi*|planen|fahrplan|план|планиров*|страте*|规划|计划|策略|战略",
        "路线图",
        "迁移|計画|戦略|移行|계획|전략|로드맵",
    ),
    _cue(
        "prove", "hard", "asks to prove or derive", "yêu cầu chứng minh, suy ra",
        "chứng minh|suy ra|tìm tất cả các|prove|proof|proofs|derive|derivation*|derivations",
        "theorem|rigorous*|show that|find all functions|demuestr*|demostr*|démontr*|preuve",
        "beweis*|herleit*|dimostr*|prova que|demonstr*|докаж*|доказ*|证明|推导|証明|導出|증명",
        "유도",
    ),
    _cue(
        "diagnose", "hard", "asks to find a fault or a cause", "yêu cầu tìm lỗi, tìm nguyên nhân",
        "tìm lỗi|gỡ lỗi|điều tra|sự cố|chẩn đoán|nguyên nhân gốc|debug*|root cause*|troubleshoot*",
        "diagnos*|investigat*|bottleneck*|deadlock*|race condition*|memory leak*|what went wrong",
        "postmortem|post mortem|causa raíz|cause racine|causas|causes|depura*|débogu*|ursache*",
        "fehlersuche|causa principale|первопричин*|причин*|根因|根本原因|根源|调查|排查|障害",
        "調査|디버그|근본|조사",
    ),
    _cue(
        "optimise", "hard", "asks to optimise or restructure", "yêu cầu tối ưu, tái cấu trúc",
        "tối ưu|tái cấu trúc|cải tiến|optimi*|refactor*|minimi*|maximi*|restructur*|scale up",
        "ottimizz*|refaktor*|оптимиз*|рефактор*|优化|重构|最適化|リファクタ|최적화|리팩",
    ),
    _cue(
        "reason", "hard", "asks for reasoning in steps", "yêu cầu suy luận từng bước",
        "suy luận|từng bước|suy nghĩ kỹ|suy nghĩ kĩ|lập luận|biện luận|có căn cứ|giải thích vì",
        "step by step|think deeply|think hard|think carefully|think through|reason through",
        "reasoning|reason about|reason under|first principles|deeply|in depth|thorough*|justif*",
        "paso a paso|étape par étape|pas à pas|schritt für schritt|schrittweise|passo a passo",
        "razon*|raisonn*|begründ*|ragion*|tiefgreifend|à fond|пошагов*|шаг за шагом|обосну*",
        "рассужд*",
        "逐步|一步一步|第一性原理|推理|深入|推論|段階的|ステップ|深く|단계별|추론|깊이|근거",
    ),
    _cue(
        "several", "hard", "asks for several approaches", "yêu cầu nhiều hướng tiếp cận",
        "nhiều hướng|hướng tiếp cận|nhiều phương án|nhiều cách|các quan điểm|giả thuyết",
        "tổng hợp các|tổng hợp lại",
        "từng lựa chọn|several approaches|multiple approaches|different approaches|alternatives",
        "alternative|alternativ*|competing|hypothes*|perspectives|viewpoints|synthesi*|explore",
        "exploring|explorar|explorer|sintetiz*|synthétis*|synthetis*|enfoques|approches|ansätze",
        "rutas|approcci|abordagens|erkunde*|untersuchen|多个|多种|几个架构|假设|综合|複数|統合",
        "探索|仮説",
        "여러|종합|대안|가설|несколько|альтернатив*|гипотез*|подход*",
    ),
    _cue(
        "research", "hard", "asks for research or evidence", "yêu cầu nghiên cứu, dẫn chứng",
        "nghiên cứu|kiểm chứng|viện dẫn|dẫn chứng|đối chứng|trích dẫn nguồn|research*|cite|citing",
        "citation*|evidence|sources|literature review|fact check|cross check|fuentes|preuves",
        "quellen|belege|recherch*|fonti|fontes|исследу*|источник*|研究|核实|引用|可靠来源|证据",
        "検証|出典|根拠|연구|검증|출처",
    ),
    _cue(
        "workflow", "hard", "asks for work in several steps or with tools",
        "yêu cầu làm nhiều bước hay dùng công cụ",
        "triển khai|viết kiểm thử|xác minh|nghiệm thu|phối hợp|workflow*|multi agent*|agents",
        "implement*|execut*|validat*|orchestrat*|coordinat*|end to end|search web|web search",
        "use the tool*|browse|subtask*|ejecut*|exécut*|mettre en œuvre|ausführ*|umsetz*|eseg*",
        "agente*",
        "agenten|реализ*|выполн*|智能体|执行|实现|协调|エージェント|実行|実装|에이전트|실행|구현",
        "조율",
    ),
    _cue(
        "effects", "hard", "asks for effects or risks", "hỏi tác động, rủi ro",
        "tác động|hệ quả|hậu quả|rủi ro|ảnh hưởng của|impact*|implications|consequences|risks",
        "failure mode*|riesgos|risques|risik*|auswirkung*|conséquences|consecuencias|rischi|риск*",
        "последств*|影响|风险|影響|リスク|영향|위험",
    ),
    _cue(
        "limit", "limit", "sets several conditions", "đặt ra nhiều điều kiện",
        "phải có|ít nhất|không quá|tối thiểu|tối đa|đúng ba|không được|must contain|must include",
        "must use|must not|must have|exactly|at least|no more than|at most|without omitting",
        "not exceed|fewer than|only if|subject to|debe|al menos|como máximo|exactamente|doit",
        "au moins|au plus|exactement|muss|mindestens|höchstens|genau|deve|almeno|esattamente",
        "ровно|не менее|не более|必须|至少|不超过|恰好|必ず|少なくとも|以内|반드시|최소|이내",
    ),
    _cue(
        "write", "neutral", "asks for a text to be written", "yêu cầu soạn văn bản",
        "soạn|viết email|viết thông báo|viết đoạn|viết bài|viết thư|write|draft|compose|redacta",
        "escrib*|rédige*|écri*|schreib*|scriv*|напиш*|写一|撰写|書いて|써 줘|작성",
    ),
    _cue(
        "explain", "neutral", "asks for an explanation", "yêu cầu giải thích",
        "giải thích|hướng dẫn|cách|làm thế nào|như thế nào|làm sao|explain*|describe|how do",
        "how to",
        "how does|how can|walk me through|explica*|explique*|erklär*|spiega*|объясн*|解释|说明",
        "説明|설명",
    ),
)  # fmt: skip
BY_NAME: Final = {cue.name: cue for cue in CUES}
PHRASES: Final = Phrases({cue.name: cue.phrases for cue in CUES})
# Ways to ask for a meaning and nothing else: "phân tích SWOT là gì?" asks for no analysis.
_PLAIN: Final = (
    "là gì|nghĩa là|định nghĩa|viết tắt của|what is a|what is an|define|stands for|meaning of|"
    "qué es|qu est ce|c est quoi|was ist|o que é|什么是|是什么|とは何|뭐야"
)
PLAIN_DEFINITION: Final = frozenset(map(fold, _PLAIN.split("|")))
