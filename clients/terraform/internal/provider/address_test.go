package provider

import "testing"

func TestAnAddressIsTheSameInEitherFormOfItsDomain(t *testing.T) {
	for _, it := range []struct {
		one, other string
		same       bool
	}{
		{"eva@bücher.example", "EVA@xn--bcher-kva.EXAMPLE", true},
		{"eva@bücher.example", "eva@bucher.example", false},
		{"eva@acme.example", "Eva@Acme.Example", true},
		{"0193614c-2a00-7c41-9f3a-000000000001", "0193614C-2A00-7C41-9F3A-000000000001", true},
	} {
		if sameAddress(it.one, it.other) != it.same {
			t.Errorf("%s and %s: not %t", it.one, it.other, it.same)
		}
	}
}
