package provider

import (
	"strings"

	"golang.org/x/net/idna"
)

// sameAddress says whether two e-mail addresses are one: whatever their case, and in whichever form their domain is written. The
// server keeps the form that programs know (`xn--`), a configuration may have the letters of a language.
func sameAddress(one, other string) bool {
	return strings.EqualFold(asciiAddress(one), asciiAddress(other))
}

func asciiAddress(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address
	}
	domain, err := idna.Lookup.ToASCII(address[at+1:])
	if err != nil {
		return address
	}
	return address[:at+1] + domain
}
