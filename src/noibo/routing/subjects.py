"""What a prompt is about, by the terms of each subject, in English and in Vietnamese.

Terms of a trade, not everyday words: one says that a question wants knowledge that small models
have less of than large ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from noibo.routing.phrases import Phrases


@dataclass(frozen=True, slots=True)
class Subject:
    """`told`: its name in English and in Vietnamese."""

    name: str
    told: tuple[str, str]
    terms: tuple[str, ...]


def _subject(name: str, english: str, vietnamese: str, *terms: str) -> Subject:
    split = [one.strip() for line in terms for one in line.split("|")]
    return Subject(name, (english, vietnamese), tuple(split))


SUBJECTS: Final = (
    _subject(
        "mathematics", "mathematics", "toán học",
        "polynomial*|matrix|matrices|determinant*|eigenvalue*|eigenvector*|invertib*|derivative*",
        "integral*|differentiable|differential equation*|homomorphism*|isomorphi*|abelian",
        "subgroup*",
        "vector space*|prime number*|modulo|logarithm*|trigonometr*|cosine|hypotenuse|polygon*",
        "perimeter|quadratic|asymptot*|convergen*|bijecti*|permutation*|combinatori*|remainder",
        "least common multiple|greatest common|factorial|function f|equation|inequality|triangle*",
        "đa thức|ma trận|định thức|đạo hàm|tích phân|nguyên hàm|phương trình|bất đẳng thức|hàm số",
        "số vô tỉ|tam giác|đồng dư|giới hạn của|vi phân|không gian vectơ|cấp số|logarit|tổ hợp",
    ),
    _subject(
        "statistics", "statistics", "thống kê",
        "standard deviation*|regression*|confidence interval*|hypothesis test*|null hypothesis",
        "random variable*|random sample*|probability|probabilities|variance|heteroscedastic*",
        "outlier*",
        "correlation*|scatterplot*|normally distributed|sampling distribution*|chi square",
        "stationar*",
        "autocorrelat*|estimator*|độ lệch chuẩn|hồi quy|khoảng tin cậy|phương sai|xác suất",
        "biến ngẫu nhiên|giả thuyết không|cỡ mẫu|tương quan",
    ),
    _subject(
        "physics", "physics", "vật lý",
        "velocity|acceleration|accelerates|momentum|kinetic|potential energy|friction|torque",
        "inertia",
        "wavelength*|photon*|electron|electrons|electric field|magnetic|capacitor*|thermodynamic*",
        "entropy|refract*|diffraction|oscillat*|quantum|relativistic|newton|joule*|gravitational",
        "gia tốc|vận tốc|động lượng|lực ma sát|điện trường|từ trường|bước sóng|dao động",
        "nhiệt động",
        "lượng tử|khúc xạ|quán tính|động năng|thế năng",
    ),
    _subject(
        "chemistry", "chemistry", "hóa học",
        "molar|molarity|stoichiometr*|oxidation|reduction potential|covalent|ionic|isotope*",
        "orbital*",
        "enthalpy|equilibrium constant|titrat*|catalyst*|electroly*|electrochem*|lithium|polymer*",
        "aqueous|solubility|ph of|buffer solution|nmr|isomer*|hydrocarbon*|periodic table",
        "phản ứng|oxi hóa|oxy hóa|nồng độ mol|đồng vị|chất xúc tác|điện phân",
        "liên kết cộng hóa trị",
        "dung dịch|hidrocacbon|este|kết tủa|đồng phân",
    ),
    _subject(
        "biology", "biology", "sinh học",
        "mitochondri*|organelle*|chromosome*|allele*|genotype*|phenotype*|enzyme*|rna|dna|mitosis",
        "meiosis|photosynthe*|ecosystem*|natural selection|evolution|species|membrane|amino acid*",
        "transcription|ribosom*|prokaryot*|eukaryot*|gene|genes|genetic*|neuron*|homeosta*",
        "nhiễm sắc thể|ti thể|nguyên phân|giảm phân|di truyền|chọn lọc tự nhiên|axit amin",
        "kiểu gen",
        "hệ sinh thái|tế bào|enzim|vi khuẩn|màng tế bào",
    ),
    _subject(
        "medicine", "medicine", "y khoa",
        "patient|patients|symptom*|diagnos*|syndrome*|clinical*|artery|arteries|nerve|nerves",
        "muscle*",
        "infection*|virus|viruses|viral|vaccin*|antibod*|antibiotic*|tumor*|tumour*|carcinoma",
        "cancer",
        "hypertension|diabet*|insulin|renal|hepatic|pulmonary|cardiac|pharmac*|dosage|therapy",
        "blood pressure|deficiency|anatom*|surgery|metabolic|hormone*|pathogen*|fracture",
        "bệnh nhân|triệu chứng|chẩn đoán|xử trí|kháng sinh|phác đồ|lâm sàng|suy thận|xơ gan",
        "tăng huyết áp",
        "tiểu đường|liều|ung thư|điều trị|tác dụng phụ|tương tác thuốc|men tim|chống chỉ định",
    ),
    _subject(
        "law", "law", "pháp luật",
        "plaintiff*|defendant*|statute*|tort|torts|liab*|negligen*|contract|contracts",
        "jurisdiction*",
        "constitutional*|amendment|felony|burglary|homicide|murder|prosecut*|evidence|hearsay",
        "court",
        "courts|easement*|deed|landowner|testator|estoppel|standard of proof|burden of proof",
        "beyond a reasonable doubt|jurispruden*|treaty|treaties|sovereign*|fiduciary|attorney*",
        "nguyên đơn|bị đơn|điều khoản|bộ luật|nghị định|hợp đồng|khởi kiện|tòa án|bồi thường",
        "vô hiệu|phá sản|thẩm quyền|bảo lãnh|thế chấp|sở hữu trí tuệ|pháp lý|luật",
    ),
    _subject(
        "business", "accounting and business", "kế toán, kinh doanh",
        "balance sheet*|financial statement*|shareholder*|equity|accounts receivable|depreciat*",
        "amortization|liabilities|assets|audit*|dividend*|cash flow*|inventory|revenue*|ledger",
        "net present value|working capital|marketing|brand|market share|supply chain|stakeholder*",
        "corporate|bond|bonds|taxable|bảng cân đối|báo cáo tài chính|cổ đông|khấu hao|dòng tiền",
        "vốn chủ sở hữu|kiểm toán|tồn kho|doanh thu|lợi nhuận|cổ phần|định khoản|thuế",
    ),
    _subject(
        "economics", "economics", "kinh tế học",
        "quantity demanded|demand curve*|supply curve*|elastic*|inelastic|monopol*|oligopol*|gdp",
        "inflation|unemployment|fiscal|monetary|interest rate*|aggregate|marginal",
        "equilibrium price",
        "comparative advantage|competitive market*|opportunity cost*|price level|money supply",
        "tariff*",
        "externalit*|lạm phát|thất nghiệp|tổng cầu|cung cầu|chi phí biên|độc quyền|tài khóa",
        "tiền tệ",
        "chi phí cơ hội|độ co giãn|lãi suất|gdp",
    ),
    _subject(
        "computing", "computing", "tin học",
        "time complexity|amortized|space complexity|data structure*|binary tree|hash table*",
        "linked list",
        "algorithm*|compiler*|thread*|mutex*|kernel|tcp|protocol*|encrypt*|cryptograph*|firewall",
        "cache|caching|distributed|consisten*|microservice*|database*|concurren*|neural network*",
        "machine learning|gradient*|overfit*|turing|boolean|recursion|pointer*|operating system*",
        "virtual memory|kubernetes|index*|thuật toán|cấu trúc dữ liệu|đệ quy|mã hóa|cơ sở dữ liệu",
        "đa luồng|độ phức tạp|bộ nhớ đệm|học máy|mạng nơ ron|phân tán|vi dịch vụ|truy vấn",
    ),
    _subject(
        "engineering", "engineering", "kỹ thuật",
        "circuit*|voltage|resistor*|resistance|impedance|transistor*|amplifier*|inductor*|stress",
        "strain|tensile|beam|yield strength|fluid|reynolds|laminar|turbulen*|heat transfer",
        "transfer function",
        "feedback loop|control system*|generator|armature|mạch điện|điện áp|điện trở|ứng suất|dầm",
        "truyền nhiệt|độ bền kéo|tổng trở",
    ),
    _subject(
        "history", "history", "lịch sử",
        "world war|revolution*|empire*|dynasty|treaty of|colonial*|civil war|cold war|medieval",
        "ancient|archaeolog*|bronze age|neolithic|hominid*|emperor|pharaoh|crusade*|feudal*",
        "abolition*",
        "suffrage|renaissance|thế chiến|chiến tranh|cách mạng|triều đại|nhà nguyễn|nhà trần",
        "phong kiến",
        "thuộc địa|khởi nghĩa|hiệp định",
    ),
    _subject(
        "philosophy", "philosophy and ethics", "triết học, đạo đức",
        "philosoph*|moral*|ethic*|utilitarian*|kant|kantian|categorical imperative|epistemolog*",
        "metaphysic*|plato|aristotle|hume|deontolog*|existential*|virtue*|free will|fallacy",
        "syllogism*",
        "triết học|đạo đức học|nhận thức luận|chủ nghĩa duy|biện chứng",
    ),
    _subject(
        "psychology", "psychology", "tâm lý học",
        "reinforcement schedule*|reinforcement|conditioning|extinction|cognitive|freud|piaget",
        "erikson",
        "personality|psycholog*|psychotherap*|schizophren*|attachment style*|defense mechanism*",
        "behavioral",
        "self esteem|classical conditioning|operant|tâm lý học|nhận thức|hành vi|củng cố",
        "điều kiện hóa|cơ chế phòng vệ",
    ),
    _subject(
        "society", "politics and society", "chính trị, xã hội",
        "congress|senate|supreme court|federal*|legislat*|diplom*|foreign policy|nato",
        "united nations",
        "security studies|deterrence|sociolog*|bureaucra*|democra*|electoral|veto|interest groups",
        "hegemon*|securiti*|quốc hội|ngoại giao|xã hội học|bầu cử|chính sách đối ngoại",
    ),
    _subject(
        "logic", "formal logic", "logic hình thức",
        "truth table*|predicate logic|propositional|premise*|conclusion|counterexample*|valid",
        "invalid",
        "antecedent|consequent|statement 1|statement 2|scenario 1|scenario 2|bảng chân trị",
        "mệnh đề|tiền đề",
    ),
)  # fmt: skip
BY_NAME: Final = {subject.name: subject for subject in SUBJECTS}
PHRASES: Final = Phrases({subject.name: subject.terms for subject in SUBJECTS})
