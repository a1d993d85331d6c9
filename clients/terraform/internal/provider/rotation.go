package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// rotation is what a plan knows of one that it asks for.
type rotation struct {
	// silent is after how long a silence the secret before ends sooner; empty where it does not.
	name, why, overlap, silent string
	// now is the server's time; zero where nobody was asked.
	now time.Time
	// ends is when the token itself ends after it, where it does.
	ends *time.Time
	// read is true where the server has told of the token, and so when its secret was last used, and by what.
	read   bool
	usedAt *time.Time
	usedBy string
}

// warn says in a plan what a rotation means: until when the secret before works, and who used it last.
func (r rotation) warn(diagnostics *diag.Diagnostics) {
	used := ""
	switch {
	case r.usedAt != nil:
		used = "last used " + inWords(r.now.Sub(*r.usedAt)) + " ago"
		if r.usedBy != "" {
			used += " by " + r.usedBy
		}
	case r.read:
		used = "never used"
	}
	diagnostics.AddAttributeWarning(path.Root("version"), "The token will be rotated",
		fmt.Sprintf("`%s` will rotate: %s. %s.", r.name, r.why, listed("The old secret "+r.until(), used)))
}

// until says how long the secret before works: to a moment, which an apply that comes later moves.
func (r rotation) until() string {
	until := r.latest()
	if overlap, known := length(r.overlap); r.silent != "" && (!known || overlap > 0) {
		until += ", or until it was not used for " + r.silent
	}
	return until
}

func (r rotation) latest() string {
	overlap, known := length(r.overlap)
	switch {
	case r.overlap == "":
		return "works for an overlap that is not known yet"
	case known && overlap == 0:
		return "is refused at once"
	case !known || r.now.IsZero():
		return "works for " + r.overlap + " after the apply"
	}
	moment := func(at time.Time) string { return at.UTC().Format(time.RFC3339) }
	if at := r.now.Add(overlap); r.ends == nil || !r.ends.Before(at) {
		return "works until " + moment(at) + " (" + r.overlap + " from now, and later where the apply is later)"
	}
	return "works until " + moment(*r.ends) + ", when the token ends"
}

// Each token keeps, in the part of the state that the core keeps for the provider, which of its secrets the configuration has given it.
const ofVersion = "secret_version"

// noteVersion keeps it.
func noteVersion(ctx context.Context, version types.Int64, kept noting, diagnostics *diag.Diagnostics) {
	if version.ValueInt64() == 0 {
		// None is told.
		return
	}
	text, err := json.Marshal(version.ValueInt64())
	if err == nil {
		diagnostics.Append(kept.SetKey(ctx, ofVersion, text)...)
	}
}

// warnOfNewer says so where a token has a newer secret than the configuration has given it: what the state knows is refused, or will be
// soon. Nothing is done about that by itself: the new secret is somebody's.
func warnOfNewer(ctx context.Context, name string, form secretForm, before, now types.Int64, kept keeper, keeps noting, diagnostics *diag.Diagnostics) {
	if form.name() == "" {
		// Of what was imported nothing is known yet.
		return
	}
	text, problems := kept.GetKey(ctx, ofVersion)
	diagnostics.Append(problems...)
	var known int64
	if len(text) == 0 || json.Unmarshal(text, &known) != nil {
		// A state of before this was kept: what it had is what it was given.
		if known = before.ValueInt64(); known == 0 {
			before, known = now, now.ValueInt64()
		}
		noteVersion(ctx, before, keeps, diagnostics)
	}
	if now.ValueInt64() <= known {
		return
	}
	mended := map[string]string{
		"generate":  "`token` is refused, or will be soon. Other `rotate_triggers` make a secret that the state has.",
		"secret_wo": "A new `secret_wo` with another `secret_wo_version` takes its place.",
		"digest":    "Another `digest` takes its place.",
	}
	diagnostics.AddAttributeWarning(path.Root("version"), "The token has a newer secret than this configuration has given it",
		fmt.Sprintf("`%s` was rotated by somebody else, or by an apply that was killed: it has the version %d, and the state knows %d. %s",
			name, now.ValueInt64(), known, mended[form.name()]))
}
