package provider

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

func TestWhyATokenIsSwitchedOffIsTold(t *testing.T) {
	now := time.Now()
	for because, told := range map[string]string{"": "somebody switched it off", "secret_reused": "came back", "something_new": "something new"} {
		if said := switchedOff(api.Token{Name: "ci", DisabledAt: &now, DisabledBecause: because}); !strings.Contains(said, told) {
			t.Error(said)
		}
	}
}
