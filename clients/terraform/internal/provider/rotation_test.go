package provider

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

func TestARotationIsToldWithItsMoment(t *testing.T) {
	now := time.Date(2027, 1, 30, 12, 0, 0, 0, time.UTC)
	at := func(length time.Duration) *time.Time { it := now.Add(length); return &it }
	for told, it := range map[string]rotation{
		"will rotate: why. The old secret works until 2027-01-31T12:00:00Z (24h from now, and later where the apply is later), last used 5 min ago by curl/8.": {
			overlap: "24h", now: now, read: true, usedAt: at(-5 * time.Minute), usedBy: "curl/8"},
		"The old secret works until 2027-02-06T12:00:00Z (1w from now, and later where the apply is later), never used.": {overlap: "1w", now: now, read: true, ends: at(8 * day)},
		"The old secret works until 2027-01-30T13:00:00Z, when the token ends, last used 3 days ago.":                    {overlap: "24h", now: now, read: true, usedAt: at(-80 * time.Hour), ends: at(time.Hour)},
		"The old secret is refused at once, last used 2 h ago.":                                                          {overlap: "0", now: now, read: true, usedAt: at(-2 * time.Hour)},
		"The old secret is refused at once, last used less than a minute ago.":                                           {overlap: "0s", now: now, read: true, usedAt: at(-time.Second)},
		// Nobody could be asked.
		"The old secret works for 24h after the apply.": {overlap: "24h"},
	} {
		it.name, it.why = "ci", "why"
		var diagnostics diag.Diagnostics
		it.warn(&diagnostics)
		if said := diagnostics[0].Detail(); !strings.HasSuffix(said, told) || !strings.HasPrefix(said, "`ci` will rotate") {
			t.Errorf("%q does not end in %q", said, told)
		}
	}
}

func TestALengthIsReadAsAServerDoes(t *testing.T) {
	for text, is := range map[string]time.Duration{"0": 0, "0s": 0, "90s": 90 * time.Second, "30m": 30 * time.Minute, "12h": 12 * time.Hour, "90d": 90 * day, "2w": 14 * day, "1y": 365 * day, "36525d": longestLength} {
		if read, ok := length(text); !ok || read != is {
			t.Errorf("%q is read as %s, %t", text, read, ok)
		}
	}
	for _, wrong := range []string{"", "d", "12", "-1d", "+1d", "1.5h", "1h30m", "36526d", "101y", "99999999999d", "soon", "1 d"} {
		if read, ok := length(wrong); ok {
			t.Errorf("%q is read as %s", wrong, read)
		}
	}
	if !sameLength("7d", "1w") || !sameLength("2160h", "90d") || !sameLength("1h30m", "90m") || sameLength("1d", "2d") || sameLength("soon", "soon") {
		t.Error("what is the same length is not known")
	}
	for _, it := range []struct {
		one, other types.String
		same       bool
	}{
		{types.StringNull(), types.StringNull(), true},
		{types.StringNull(), types.StringValue("0"), false},
		{types.StringValue("2160h"), types.StringValue("90d"), true},
		{types.StringValue("1d"), types.StringUnknown(), false},
	} {
		if sameLife(it.one, it.other) != it.same {
			t.Errorf("%s and %s: not %t", it.one, it.other, it.same)
		}
	}
}

// Each refusal is told at the attribute that it is about, also where the server names none, or the configuration has other words for it.
func TestARefusalIsToldAtItsAttribute(t *testing.T) {
	fault := func(field string) error {
		return &api.Error{Status: 400, Code: "invalid", Detail: "It is wrong.", Faults: []api.Fault{{Field: field, Problem: "is wrong"}}}
	}
	used := &api.Error{Status: 409, Code: "digest_used", Detail: "This secret was registered before."}
	digest := secretForm{digest: types.StringValue("x")}
	written := secretForm{version: types.Int64Value(1)}
	policy := func(field string) func(*diag.Diagnostics) {
		return func(into *diag.Diagnostics) {
			tellAt(into, "no", fault(field), policyPath([]string{"devops", "viewer"}))
		}
	}
	at := path.Root("token_policy")
	for name, it := range map[string]struct {
		tell func(*diag.Diagnostics)
		at   path.Path
	}{
		"a name": {func(into *diag.Diagnostics) {
			tell(into, "no", taken(&api.Error{Status: 409, Code: "name_taken", Detail: "It is taken."}, "id"))
		}, path.Root("name")},
		"a role":              {func(into *diag.Diagnostics) { tell(into, "no", fault("role_id")) }, path.Root("role")},
		"a network":           {func(into *diag.Diagnostics) { tell(into, "no", fault("networks[1].network")) }, path.Root("networks")},
		"a digest":            {func(into *diag.Diagnostics) { digest.tell(into, "no", used) }, path.Root("digest")},
		"a written secret":    {func(into *diag.Diagnostics) { written.tell(into, "no", used) }, path.Root("secret_wo")},
		"its digest":          {func(into *diag.Diagnostics) { written.tell(into, "no", fault("sha256")) }, path.Root("secret_wo")},
		"an overlap":          {func(into *diag.Diagnostics) { written.tell(into, "no", fault("keep")) }, path.Root("overlap")},
		"a policy":            {policy("max_lifetime"), at.AtName("max_lifetime")},
		"a policy of a role":  {policy("roles[1].max_overlap"), at.AtName("roles").AtMapKey("viewer").AtName("max_overlap")},
		"a role of a policy":  {policy("roles[0].role_id"), at.AtName("roles").AtMapKey("devops")},
		"a role that is none": {policy("roles[7]"), at.AtName("roles")},
	} {
		var diagnostics diag.Diagnostics
		it.tell(&diagnostics)
		found, ok := diagnostics[0].(diag.DiagnosticWithPath)
		if !ok || !found.Path().Equal(it.at) {
			t.Errorf("%s is told as %v, and not at %s", name, diagnostics, it.at)
		}
	}
}
