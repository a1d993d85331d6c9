package provider

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

func TestWhoTookATokenBackIsTold(t *testing.T) {
	at := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	for told, it := range map[string]*api.Revocation{
		"":                                      nil,
		" since 2027-01-31T12:00:00Z (deleted)": {At: at, Reason: "deleted"},
		" since 2027-01-31T12:00:00Z, by ada@acme.example (leaked): on a wiki": {At: at, Reason: "leaked", ByName: "ada@acme.example", Note: "on a wiki"},
	} {
		if said := takenBack(it); said != told {
			t.Errorf("%q, not %q", said, told)
		}
	}
}

func TestWhyATokenIsSwitchedOffIsTold(t *testing.T) {
	now := time.Now()
	for because, told := range map[string]string{"": "somebody switched it off", "secret_reused": "came back", "something_new": "something new"} {
		if said := switchedOff(api.Token{Name: "ci", DisabledAt: &now, DisabledBecause: because}); !strings.Contains(said, told) {
			t.Error(said)
		}
	}
}
