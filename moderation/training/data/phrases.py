"""What drawn creatives say: (words on placards, words on shop windows), by language."""

from typing import Final

SLOGANS: Final = (
    "JUSTICE NOW", "NO MORE LIES", "PEOPLE OVER PROFIT", "VOTE THEM OUT", "HANDS OFF OUR RIGHTS",
    "STOP THE WAR", "STRIKE FOR CLIMATE", "OUR CITY OUR VOICE", "ENOUGH IS ENOUGH", "SAVE OUR SCHOOLS",
    "FRIEDEN JETZT", "KEIN MENSCH IST ILLEGAL", "WIR STREIKEN", "MIETEN RUNTER", "LA RUE EST À NOUS",
    "TOUS ENSEMBLE", "NON À LA RÉFORME", "BASTA YA", "EL PUEBLO UNIDO", "NI UNA MENOS", "LAVORO E DIGNITÀ",
    "NO ALLA GUERRA", "DIREITOS JÁ", "FORA CORRUPTOS", "ZA SVOBODU", "DEMISI VLÁDY", "WOLNE SĄDY",
    "DOŚĆ KŁAMSTW", "СВОБОДУ НАРОДУ", "НЕТ ВОЙНЕ", "СЛАВА УКРАЇНІ", "ΟΧΙ ΣΤΟΝ ΠΟΛΕΜΟ", "ADALET İSTİYORUZ",
    "HAK HUKUK ADALET",
)  # fmt: skip

OFFERS: Final = (
    "SUMMER SALE 50% OFF", "NEW COLLECTION", "FREE SHIPPING TODAY", "BUY 2 GET 1 FREE", "SHOP NOW",
    "Book your holiday from $199", "Fresh every morning", "Download the app", "Sign up for our newsletter",
    "The best coffee in town", "GRAND OPENING", "LIVE IN CONCERT", "HAPPY HOUR 5-7", "Only this weekend!",
    "SOMMERSCHLUSSVERKAUF", "JETZT ENTDECKEN", "Kostenloser Versand", "SOLDES JUSQU'À -70%", "Offre spéciale",
    "REBAJAS DE VERANO", "ENVÍO GRATIS", "SALDI FINO AL 60%", "Scopri di più", "PROMOÇÃO IMPERDÍVEL",
    "VÝPRODEJ", "Doprava zdarma", "WYPRZEDAŻ", "Kup teraz", "РАСПРОДАЖА", "Скидки до 70%", "НОВА КОЛЕКЦІЯ",
    "ΠΡΟΣΦΟΡΑ", "ΕΚΠΤΩΣΕΙΣ", "BÜYÜK İNDİRİM", "Hemen al",
)  # fmt: skip

PROSE: Final = (
    "The kitchen opens at noon and the garden is quiet until the evening.",
    "Our team builds small tools for people who like their work to be simple.",
    "Read how a family bakery turned an old recipe into a business.",
    "Ten places to walk with children when the weather is fine.",
    "Das neue Rad ist leichter, leiser und in vier Farben zu haben.",
    "Une soupe de saison, prête en vingt minutes, avec du pain grillé.",
    "El tren sale cada media hora y el viaje dura menos de una hora.",
    "Recept na koláč s jablky, který se vždycky povede.",
    "Новый маршрут проходит вдоль реки и занимает два часа.",
)
"""Sentences of ordinary pages."""
