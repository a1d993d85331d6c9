package provider

import (
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// tokenLife is how tokens of both kinds are called, from when to when they live, and whether they are accepted.
type tokenLife struct {
	Name       types.String `tfsdk:"name"`
	NamePrefix types.String `tfsdk:"name_prefix"`
	ExpiresAt  types.String `tfsdk:"expires_at"`
	ExpiresIn  types.String `tfsdk:"expires_in"`
	Enabled    types.Bool   `tfsdk:"enabled"`
	OnExpired  types.String `tfsdk:"on_expired"`
	State      types.String `tfsdk:"state"`
}

// What becomes of a token that has expired.
const (
	recreate = "recreate"
	keep     = "keep"
)

// lifeAttributes are those of the schema.
func lifeAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"name":        schema.StringAttribute{Optional: true, Computed: true, MarkdownDescription: "What it is for; unique in the organization."},
		"name_prefix": schema.StringAttribute{Optional: true, MarkdownDescription: "The beginning of a name that is made up, for `create_before_destroy`. Another one makes another token's name in place."},
		"expires_at":  schema.StringAttribute{Optional: true, Computed: true, MarkdownDescription: "From when on it is refused (RFC 3339). Where no end is said, the usual life of the organization's policy."},
		"expires_in":  schema.StringAttribute{Optional: true, MarkdownDescription: "How long it lives, such as `90d` or `2160h`, from the apply that makes it, rotates it, or changes this."},
		"enabled":     schema.BoolAttribute{Optional: true, Computed: true, Default: booldefault.StaticBool(true), MarkdownDescription: "Whether it is accepted at all."},
		"on_expired":  schema.StringAttribute{Optional: true, Computed: true, Default: stringdefault.StaticString(recreate), MarkdownDescription: "What becomes of a token that has expired: `recreate` or `keep`."},
		"state":       schema.StringAttribute{Computed: true, MarkdownDescription: "`active`, `disabled`, `not_yet_valid`, `brownout` or `expired`."},
	}
}

// checkLife says what is wrong with them before a server is asked.
func (m tokenLife) checkLife(diagnostics *diag.Diagnostics) {
	wrong := func(name, summary, detail string) {
		diagnostics.AddAttributeError(path.Root(name), summary, detail)
	}
	if m.Name.IsNull() == m.NamePrefix.IsNull() && !m.Name.IsUnknown() && !m.NamePrefix.IsUnknown() {
		wrong("name", "A token has a `name` or a `name_prefix`", "Say exactly one of them; in Pulumi, which makes a name by itself, leave both out or say `name`.")
	}
	if !m.ExpiresAt.IsNull() && !m.ExpiresIn.IsNull() {
		wrong("expires_in", "A token has one end", "Say `expires_at` or `expires_in`, not both.")
	}
	checkMoment("expires_at", m.ExpiresAt, diagnostics)
	if lives, ok := life(m.ExpiresIn.ValueString()); (!ok || lives <= 0) && !m.ExpiresIn.IsNull() && !m.ExpiresIn.IsUnknown() {
		wrong("expires_in", "This is no length of time", "Write it as 90d, 2160h or 30m, more than 0.")
	}
	oneOf(path.Root("on_expired"), m.OnExpired, diagnostics, recreate, keep)
}

// newName is that of a token that is to be made.
func (m tokenLife) newName() string {
	if m.NamePrefix.IsNull() {
		return m.Name.ValueString()
	}
	return m.NamePrefix.ValueString() + api.Random(5)
}

// replaced says whether a token is over, which is final, and another one is wanted in its place.
func (m tokenLife) replaced(state tokenLife) bool {
	return state.State.ValueString() == "expired" && m.OnExpired.ValueString() == recreate
}

// planChange leaves in a plan what a change leaves as it is, and makes unknown what nobody knows before it. Of what was imported
// nobody knows from when its life counts.
func (m *tokenLife) planChange(config, state tokenLife, rotated, imported, beginsElse bool) {
	if config.Name.IsNull() {
		m.Name = state.Name
		other := !state.NamePrefix.IsNull() && !state.NamePrefix.Equal(m.NamePrefix)
		// Somebody has renamed it.
		if other || !m.NamePrefix.IsUnknown() && !strings.HasPrefix(state.Name.ValueString(), m.NamePrefix.ValueString()) {
			m.Name = types.StringUnknown()
		}
	}
	switch {
	case !config.ExpiresAt.IsNull():
	case config.ExpiresIn.IsNull():
		m.ExpiresAt = state.ExpiresAt
		// Somebody took it out of the configuration.
		if !state.ExpiresIn.IsNull() {
			m.ExpiresAt = types.StringNull()
		}
	// The end that it has is taken over from an import.
	case rotated || !imported && !sameLife(state.ExpiresIn, m.ExpiresIn):
		m.ExpiresAt = types.StringUnknown()
	default:
		m.ExpiresAt = state.ExpiresAt
	}
	m.State = state.State
	if !m.Enabled.Equal(state.Enabled) || !m.ExpiresAt.Equal(state.ExpiresAt) || beginsElse {
		m.State = types.StringUnknown()
	}
}

// planReplacement says so where another one takes its place.
func (m *tokenLife) planReplacement(config, state tokenLife, diagnostics *diag.Diagnostics) {
	diagnostics.AddAttributeWarning(path.Root("state"), "The token has expired",
		fmt.Sprintf("`%s` is refused since %s. It is replaced by another one; `on_expired = \"keep\"` leaves it.", state.Name.ValueString(), state.ExpiresAt.ValueString()))
	m.State = types.StringUnknown()
	if config.ExpiresAt.IsNull() {
		m.ExpiresAt = types.StringUnknown()
	}
}

// end is the moment that the configuration wants: of `expires_in`, from now on.
func (m tokenLife) end(now time.Time) (any, bool) {
	if !m.ExpiresIn.IsNull() {
		lives, known := life(m.ExpiresIn.ValueString())
		return now.Add(lives).UTC().Format(time.RFC3339), known
	}
	if !m.ExpiresAt.IsNull() && !m.ExpiresAt.IsUnknown() {
		return m.ExpiresAt.ValueString(), true
	}
	return nil, false
}

// editedLife puts into an edit what is different about name and end.
func (m tokenLife) editedLife(fields api.Fields, state tokenLife, now time.Time) {
	switch {
	case m.Name.IsUnknown():
		fields["name"] = m.newName()
	case !m.Name.Equal(state.Name):
		fields["name"] = m.Name.ValueString()
	}
	if !m.ExpiresAt.Equal(state.ExpiresAt) {
		fields["expires_at"], _ = m.end(now)
	}
}

// readLife takes over what the server says, in the words of the configuration where they mean the same.
func (m *tokenLife) readLife(token api.Token) {
	m.Name = types.StringValue(token.Name)
	m.ExpiresAt = moment(m.ExpiresAt, token.ExpiresAt)
	m.Enabled = types.BoolValue(token.DisabledAt == nil)
}

// sooner is the edit that shortens the life of a token, where its end comes sooner than the one that it has.
func sooner(fields api.Fields, token api.Token) (api.Fields, bool) {
	wanted, _ := fields["expires_at"].(string)
	end, err := time.Parse(time.RFC3339, wanted)
	if err != nil || token.ExpiresAt != nil && !end.Before(*token.ExpiresAt) {
		return nil, false
	}
	return api.Fields{"expires_at": wanted}, true
}

// isUntouched says whether a token that is there is in the state in which an interrupted create leaves one: with its first secret, on or
// off, whichever is wanted, and with the end that is wanted.
func (m tokenLife) isUntouched(fields api.Fields, token api.Token) bool {
	return (token.DisabledAt == nil || !m.Enabled.ValueBool()) && token.State != "expired" && token.State != "revoked" && token.State != "brownout" &&
		len(token.Versions) == 1 && m.endsAsWanted(fields, token)
}

// endsAsWanted is true for an end of an earlier try: a life that was counted from then ends a little sooner.
func (m tokenLife) endsAsWanted(fields api.Fields, token api.Token) bool {
	wanted, given := fields["expires_at"].(string)
	if !given {
		// The organization's policy may have given it one.
		return true
	}
	if m.ExpiresIn.IsNull() {
		return sameMoment(wanted, token.ExpiresAt)
	}
	end, err := time.Parse(time.RFC3339, wanted)
	return err == nil && token.ExpiresAt != nil && !token.ExpiresAt.After(end) && end.Sub(*token.ExpiresAt) < time.Hour
}
