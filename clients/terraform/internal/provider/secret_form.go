package provider

import (
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// secretForm is how a token, of either kind, gets its secret: exactly one of three ways.
type secretForm struct {
	written  types.String
	version  types.Int64
	digest   types.String
	generate types.Bool
	triggers types.Map
}

// shortestSilence is the server's: who asks less often than that is not silent.
const shortestSilence = 5 * time.Minute

// tokenSecret is that form in a model, with what is known of the secret that there is.
type tokenSecret struct {
	SecretWO        types.String `tfsdk:"secret_wo"`
	SecretWOVersion types.Int64  `tfsdk:"secret_wo_version"`
	Digest          types.String `tfsdk:"digest"`
	Generate        types.Bool   `tfsdk:"generate"`
	RotateTriggers  types.Map    `tfsdk:"rotate_triggers"`
	Overlap         types.String `tfsdk:"overlap"`
	EndWhenSilent   types.String `tfsdk:"end_when_silent"`
	Token           types.String `tfsdk:"token"`
	LastFour        types.String `tfsdk:"last_four"`
	Version         types.Int64  `tfsdk:"version"`
}

func (m tokenSecret) secret() secretForm {
	return secretForm{m.SecretWO, m.SecretWOVersion, m.Digest, m.Generate, m.RotateTriggers}
}

// keepForm takes over from another model how the secret is made that there is now.
func (m *tokenSecret) keepForm(from tokenSecret) {
	m.SecretWOVersion, m.Digest, m.Generate, m.RotateTriggers = from.SecretWOVersion, from.Digest, from.Generate, from.RotateTriggers
}

// keepKnown takes over from a state what is known of the secret that there is.
func (m *tokenSecret) keepKnown(state tokenSecret) {
	m.LastFour, m.Version, m.Token = state.LastFour, state.Version, state.Token
}

// planFirstSecret says in a plan what is known of the secret of a new token.
func (m *tokenSecret) planFirstSecret(diagnostics *diag.Diagnostics) {
	m.secret().warnOfState(secretForm{}, diagnostics)
	m.planText()
}

// planRotation says in a plan that there will be another secret.
func (m *tokenSecret) planRotation(state tokenSecret, diagnostics *diag.Diagnostics) {
	m.LastFour, m.Version, m.Token = types.StringUnknown(), types.Int64Unknown(), types.StringUnknown()
	m.planText()
	m.secret().warnOfState(state.secret(), diagnostics)
}

// planText leaves the text of a new secret out where the server makes none.
func (m *tokenSecret) planText() {
	if !m.Generate.IsUnknown() && !m.Generate.ValueBool() {
		m.Token = types.StringNull()
	}
}

// rotation is what a request for another secret says of the one before.
func (m tokenSecret) rotation() api.Fields {
	fields := api.Fields{"keep": m.Overlap.ValueString()}
	if !m.EndWhenSilent.IsNull() {
		fields["silent"] = m.EndWhenSilent.ValueString()
	}
	return fields
}

// checkSecret says what is wrong with a configuration of it.
func (m tokenSecret) checkSecret(weak func(string) string, diagnostics *diag.Diagnostics) {
	m.secret().check(weak, diagnostics)
	checkLength(path.Root("overlap"), m.Overlap, diagnostics)
	checkLength(path.Root("end_when_silent"), m.EndWhenSilent, diagnostics)
	if overlap, known := length(m.Overlap.ValueString()); !m.EndWhenSilent.IsNull() && !m.Overlap.IsUnknown() && (m.Overlap.IsNull() || known && overlap == 0) {
		diagnostics.AddAttributeError(path.Root("end_when_silent"), "`end_when_silent` goes with `overlap`", "Without an overlap the secret before is refused at once.")
	} else if silent, said := length(m.EndWhenSilent.ValueString()); said && (silent < shortestSilence || known && silent > overlap) {
		diagnostics.AddAttributeError(path.Root("end_when_silent"), "`end_when_silent` is not between 5m and `overlap`", "A rotation would be refused with it.")
	}
}

// secretAttributes are those of the schema.
func secretAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"secret_wo": schema.StringAttribute{Optional: true, WriteOnly: true, Sensitive: true,
			MarkdownDescription: "The secret itself, from a vault's ephemeral value. It is never written down, and only its digest leaves the machine."},
		"secret_wo_version": schema.Int64Attribute{Optional: true, MarkdownDescription: "Another number rotates to the `secret_wo` of that run."},
		"digest":            schema.StringAttribute{Optional: true, MarkdownDescription: "The SHA-256 of a secret that was made elsewhere (from at least 112 random bits), 64 hexadecimal digits. It must not be registered yet."},
		"generate":          schema.BoolAttribute{Optional: true, MarkdownDescription: "The server makes the secret, and **it stands in the state** as `token`."},
		"rotate_triggers":   schema.MapAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "With `generate`: another value rotates."},
		"overlap":           schema.StringAttribute{Optional: true, Computed: true, Default: stringdefault.StaticString("0"), MarkdownDescription: "How long the secret before is accepted after a rotation, such as `24h`."},
		"end_when_silent":   schema.StringAttribute{Optional: true, MarkdownDescription: "The secret before ends sooner, once it was not used for so long: such as `1h`, at least `5m`, and at most `overlap`."},
		"token":             schema.StringAttribute{Computed: true, Sensitive: true, MarkdownDescription: "The secret, with `generate` alone."},
		"last_four":         schema.StringAttribute{Computed: true, MarkdownDescription: "The end of its secret; `????` of a `digest`, since nobody knows."},
		"version":           schema.Int64Attribute{Computed: true, MarkdownDescription: "The number of its newest secret."},
	}
}

// name is that of the form; empty after an import, where only the configuration knows.
func (f secretForm) name() string {
	switch {
	case f.generate.ValueBool():
		return "generate"
	case !f.digest.IsNull():
		return "digest"
	case !f.version.IsNull():
		return "secret_wo"
	}
	return ""
}

// check says what is wrong with a configuration of it; `weak` says why a secret cannot be one of this kind.
func (f secretForm) check(weak func(string) string, diagnostics *diag.Diagnostics) {
	wrong := func(name, summary, detail string) {
		diagnostics.AddAttributeError(path.Root(name), summary, detail)
	}
	forms := 0
	for _, given := range []bool{!f.written.IsNull(), !f.digest.IsNull(), f.generate.IsUnknown() || f.generate.ValueBool()} {
		if given {
			forms++
		}
	}
	if forms != 1 {
		wrong("generate", "A token's secret has exactly one form", "Say one of `secret_wo` (with `secret_wo_version`), `digest`, and `generate = true`.")
	}
	if f.written.IsNull() != f.version.IsNull() {
		wrong("secret_wo_version", "`secret_wo` and `secret_wo_version` go together", "A new secret without a new version changes nothing, and nobody could see it.")
	}
	if !f.triggers.IsNull() && !f.generate.IsUnknown() && !f.generate.ValueBool() {
		wrong("rotate_triggers", "`rotate_triggers` goes with `generate`", "The other forms rotate with a new `secret_wo_version` or `digest`.")
	}
	if !f.digest.IsNull() && !f.digest.IsUnknown() && !isDigest(f.digest.ValueString()) {
		wrong("digest", "This is no SHA-256", "It has 64 small hexadecimal digits: what `sha256sum` prints of the secret.")
	}
	if !f.written.IsNull() && !f.written.IsUnknown() {
		if problem := weak(f.written.ValueString()); problem != "" {
			wrong("secret_wo", "This secret cannot be used", problem)
		}
	}
}

// rotates says whether a change gives the token a new secret, and why.
func rotates(before, after secretForm) (bool, string) {
	switch {
	case before.name() == "":
		// What an import could not know is taken over from the configuration.
		return false, ""
	case before.name() != after.name():
		return true, "its secret has another form"
	case after.name() == "secret_wo" && !before.version.Equal(after.version):
		return true, "`secret_wo_version` is another one"
	case after.name() == "digest" && !before.digest.Equal(after.digest):
		return true, "`digest` is another one"
	case after.name() == "generate" && !before.triggers.Equal(after.triggers):
		return true, "`rotate_triggers` are others"
	}
	return false, ""
}

// put puts into a request what it needs of the secret: the digest, and never more. False where it cannot be one: a value that
// the plan did not know yet is looked at here for the first time.
func (f secretForm) put(fields api.Fields, written types.String, weak func(string) string, diagnostics *diag.Diagnostics) bool {
	switch f.name() {
	case "digest":
		fields["sha256"] = f.digest.ValueString()
	case "secret_wo":
		text := written.ValueString()
		if problem := weak(text); problem != "" {
			diagnostics.AddAttributeError(path.Root("secret_wo"), "This secret cannot be used", problem)
			return false
		}
		fields["sha256"], fields["last_four"] = digestOf(text), text[len(text)-4:]
	}
	return true
}

// tell says what a server said: at the attribute of the form where it is the secret that it refused.
func (f secretForm) tell(diagnostics *diag.Diagnostics, summary string, err error) {
	tellAt(diagnostics, summary, err, func(field string) path.Path {
		if form := f.name(); form != "" && (field == "sha256" || field == "last_four") {
			return path.Root(form)
		}
		return attributeOf(field)
	})
}

// warnOfState says where a secret will stand that has not stood there before.
func (f secretForm) warnOfState(before secretForm, diagnostics *diag.Diagnostics) {
	if f.generate.ValueBool() && before.name() != "generate" {
		diagnostics.AddAttributeWarning(path.Root("generate"), "This secret will stand in the state",
			"`generate` puts it into the state, its backups and saved plans, for everybody who reads them. `secret_wo` and `digest` do not.")
	}
}

// rotationOf is what an interrupted create is given: with a digest the one that it has to have already, and else a new secret.
func rotationOf(fields api.Fields) (rotation api.Fields, etag string) {
	rotation = api.Fields{"keep": "0"}
	if digest, given := fields["sha256"]; given {
		rotation["sha256"] = digest
		if shown, given := fields["last_four"]; given {
			rotation["last_four"] = shown
		}
		// That is no version of it: only where the digest is the token's own already nothing has to be changed.
		etag = "\"none\""
	}
	return rotation, etag
}
