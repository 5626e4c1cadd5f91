/* core/model/currency.c: see currency.h */
#include "core/model/currency.h"

/* code and exponent, N where ISO 4217 says N.A.; the order is part of no output */
static const char table[][5] = {
    "AED2", "AFN2", "ALL2", "AMD2", "ANG2", "AOA2", "ARS2", "AUD2", "AWG2", "AZN2", "BAM2", "BBD2", "BDT2",
    "BGN2", "BHD3", "BIF0", "BMD2", "BND2", "BOB2", "BOV2", "BRL2", "BSD2", "BTN2", "BWP2", "BYN2", "BZD2",
    "CAD2", "CDF2", "CHE2", "CHF2", "CHW2", "CLF4", "CLP0", "CNH2", "CNY2", "COP2", "COU2", "CRC2", "CUC2",
    "CUP2", "CVE2", "CZK2", "DJF0", "DKK2", "DOP2", "DZD2", "EGP2", "ERN2", "ETB2", "EUR2", "FJD2", "FKP2",
    "GBP2", "GEL2", "GHS2", "GIP2", "GMD2", "GNF0", "GTQ2", "GYD2", "HKD2", "HNL2", "HRK2", "HTG2", "HUF2",
    "IDR2", "ILS2", "INR2", "IQD3", "IRR2", "ISK0", "JMD2", "JOD3", "JPY0", "KES2", "KGS2", "KHR2", "KMF0",
    "KPW2", "KRW0", "KWD3", "KYD2", "KZT2", "LAK2", "LBP2", "LKR2", "LRD2", "LSL2", "LTL2", "LVL2", "LYD3",
    "MAD2", "MDL2", "MGA2", "MKD2", "MMK2", "MNT2", "MOP2", "MRU2", "MUR2", "MVR2", "MWK2", "MXN2", "MXV2",
    "MYR2", "MZN2", "NAD2", "NGN2", "NIO2", "NOK2", "NPR2", "NZD2", "OMR3", "PAB2", "PEN2", "PGK2", "PHP2",
    "PKR2", "PLN2", "PYG0", "QAR2", "RON2", "RSD2", "RUB2", "RWF0", "SAR2", "SBD2", "SCR2", "SDG2", "SEK2",
    "SGD2", "SHP2", "SLE2", "SLL2", "SOS2", "SRD2", "SSP2", "STN2", "SVC2", "SYP2", "SZL2", "THB2", "TJS2",
    "TMT2", "TND3", "TOP2", "TRY2", "TTD2", "TWD2", "TZS2", "UAH2", "UGX0", "USD2", "USN2", "UYI0", "UYU2",
    "UYW4", "UZS2", "VED2", "VES2", "VND0", "VUV0", "WST2", "XAF0", "XCD2", "XCG2", "XOF0", "XPF0", "XXX2",
    "YER2", "ZAR2", "ZMW2", "ZWG2", "ZWL2", "XAGN", "XAUN", "XBAN", "XBBN", "XBCN", "XBDN", "XDRN", "XPDN",
    "XPTN", "XSUN", "XTSN", "XUAN",
};
enum { COUNT = sizeof table / sizeof table[0] };
_Static_assert((int)COUNT < (int)CURRENCY_COUNT_MAX, "a currency is one byte");

/* One slot a code: (a*26+b)*26+c, filled at start. 17576 bytes, and most lookups hit a per-worker memo before
 * this. */
static uint8_t by_code[26 * 26 * 26];
static char codes[CURRENCY_COUNT_MAX][4];

__attribute__((constructor)) static void fill(void)
{
    for (int i = 0; i < COUNT; i++) {
        const char *t = table[i];
        by_code[((t[0] - 'A') * 26 + (t[1] - 'A')) * 26 + (t[2] - 'A')] = (uint8_t)(i + 1);
        for (int k = 0; k < 3; k++)
            codes[i + 1][k] = t[k];
    }
}

uint8_t currency_find(const char *text, size_t size)
{
    if (size != 3)
        return 0;
    unsigned index = 0;
    for (int k = 0; k < 3; k++) {
        unsigned letter = ((unsigned char)text[k] & ~0x20u) - 'A';
        if (letter >= 26 || (unsigned char)text[k] >= 0x80)
            return 0;
        index = index * 26 + letter;
    }
    return by_code[index];
}

const char *currency_code(uint8_t currency)
{
    return codes[currency];
}

int currency_exponent(uint8_t currency)
{
    if (!currency_has_minor(currency))
        return 0;
    return currency && currency <= COUNT ? table[currency - 1][3] - '0' : 2;
}

int currency_has_minor(uint8_t currency)
{
    return !currency || currency > COUNT || table[currency - 1][3] != 'N';
}

int currency_count(void)
{
    return COUNT + 1;
}
