package api

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A file of authorities counts whole, or is refused: what is no certificate in it is not passed by.
func TestWhatIsNoAuthorityIsTold(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	good := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("not to be repeated")}))
	for name, it := range map[string]struct {
		text string
		told error
	}{
		"one":                        {good, nil},
		"two, with words before":     {"# ours\n" + good + good, nil},
		"the name of a file":         {"authority.pem", ErrAuthority},
		"a key":                      {key, ErrNotOnlyCertificates},
		"one, and a key":             {good + key, ErrNotOnlyCertificates},
		"one, and half of another":   {good + good[:len(good)/2], ErrNotOnlyCertificates},
		"one that is damaged":        {strings.Replace(good, "MII", "AII", 1), ErrNotOnlyCertificates},
		"letters that are none":      {strings.Replace(good, "MII", "M!I", 1), ErrNotOnlyCertificates},
		"a certificate that is none": {string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), ErrNotOnlyCertificates},
	} {
		_, err := New(Config{URL: secure.URL, Token: "x", CACertificate: it.text, Agent: "test"})
		// Of what has no whole block in it nothing is known but that.
		if !errors.Is(err, it.told) && !(name == "letters that are none" && errors.Is(err, ErrAuthority)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
