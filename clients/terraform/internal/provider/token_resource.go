package provider

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

type tokenResource struct{ managed }

func newTokenResource() resource.Resource { return &tokenResource{} }

var (
	_ resource.ResourceWithModifyPlan     = (*tokenResource)(nil)
	_ resource.ResourceWithImportState    = (*tokenResource)(nil)
	_ resource.ResourceWithValidateConfig = (*tokenResource)(nil)
)

type tokenModel struct {
	ID          types.String `tfsdk:"id"`
	Description types.String `tfsdk:"description"`
	Role        types.String `tfsdk:"role"`
	tokenLife
	tokenSecret
	tokenDetails
}

func (r *tokenResource) Metadata(_ context.Context, _ resource.MetadataRequest, response *resource.MetadataResponse) {
	response.TypeName = "tokenward_token"
}

func (r *tokenResource) Schema(_ context.Context, _ resource.SchemaRequest, response *resource.SchemaResponse) {
	response.Schema = schema.Schema{
		MarkdownDescription: "An API token. Its secret has exactly one of three forms: `secret_wo`, `digest`, or `generate`.",
		Attributes: map[string]schema.Attribute{
			"id":          idAttribute(),
			"description": schema.StringAttribute{Optional: true},
			"role":        schema.StringAttribute{Required: true, MarkdownDescription: "The role that it acts as, by name or id."},
		},
	}
	maps.Copy(response.Schema.Attributes, lifeAttributes())
	maps.Copy(response.Schema.Attributes, tokenAttributes())
	maps.Copy(response.Schema.Attributes, secretAttributes())
}

func (r *tokenResource) ValidateConfig(ctx context.Context, request resource.ValidateConfigRequest, response *resource.ValidateConfigResponse) {
	var config tokenModel
	if !take(ctx, &response.Diagnostics, sent{request.Config, &config}) {
		return
	}
	config.checkSecret(weak, &response.Diagnostics)
	config.checkLife(&response.Diagnostics)
	config.checkAttributes(&response.Diagnostics)
}

func (r *tokenResource) ModifyPlan(ctx context.Context, request resource.ModifyPlanRequest, response *resource.ModifyPlanResponse) {
	if request.Plan.Raw.IsNull() {
		return
	}
	var config, plan tokenModel
	if !take(ctx, &response.Diagnostics, sent{request.Config, &config}, sent{request.Plan, &plan}) {
		return
	}
	if request.State.Raw.IsNull() {
		plan.planFirstSecret(&response.Diagnostics)
		if config.ExpiresIn.IsNull() && config.ExpiresAt.IsNull() {
			// The organization's policy may give it one.
			plan.ExpiresAt = types.StringUnknown()
		}
		response.Diagnostics.Append(response.Plan.Set(ctx, plan)...)
		return
	}
	var state tokenModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	// An end is final: an expired token cannot be given another one.
	replaced := plan.replaced(state.tokenLife)
	rotated, why := rotates(state.secret(), plan.secret())
	plan.keepKnown(state.tokenSecret)
	if rotated && !replaced {
		plan.planRotation(state.tokenSecret, &response.Diagnostics)
		r.warnOfRotation(ctx, state, plan, why, &response.Diagnostics)
	}
	plan.planChange(config.tokenLife, state.tokenLife, rotated, state.secret().name() == "", !plan.NotBefore.Equal(state.NotBefore))
	if config.Owner.IsNull() {
		plan.Owner = state.Owner
	}
	if replaced {
		plan.planReplacement(config.tokenLife, state.tokenLife, &response.Diagnostics)
		response.RequiresReplace = append(response.RequiresReplace, path.Root("state"))
	}
	response.Diagnostics.Append(response.Plan.Set(ctx, plan)...)
}

func (r *tokenResource) warnOfRotation(ctx context.Context, state, plan tokenModel, why string, diagnostics *diag.Diagnostics) {
	told := rotation{name: state.Name.ValueString(), why: why, overlap: plan.Overlap.ValueString(), silent: plan.EndWhenSilent.ValueString()}
	if r.of != nil {
		// Where it cannot be read, the plan says less.
		token, err := r.of.Token(ctx, state.ID.ValueString())
		told.now, told.read, told.usedAt, told.usedBy = r.of.Now(), err == nil, token.LastUsedAt, token.LastUsedAgent
	}
	if end, given := plan.end(told.now); given {
		text, _ := end.(string)
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			told.ends = &at
		}
	}
	told.warn(diagnostics)
}

func (r *tokenResource) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	var plan, config tokenModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}, sent{request.Config, &config}) {
		return
	}
	role, err := roleID(ctx, r.of, plan.Role.ValueString())
	if err != nil {
		response.Diagnostics.AddAttributeError(path.Root("role"), "The token cannot be made", err.Error())
		return
	}
	fields := api.Fields{"name": plan.newName(), "role_id": role.ID}
	if !plan.Description.IsNull() {
		fields["description"] = plan.Description.ValueString()
	}
	if end, given := plan.end(r.of.Now()); given {
		fields["expires_at"] = end
	}
	r.newAttributes(ctx, fields, plan.tokenDetails, &response.Diagnostics)
	if !plan.secret().put(fields, config.SecretWO, weak, &response.Diagnostics) || response.Diagnostics.HasError() {
		return
	}
	token, err := r.of.CreateToken(ctx, fields)
	if holder, taken := api.Taken(err); taken {
		token, err = r.adopt(ctx, holder, role, plan, fields, err)
	}
	if err != nil {
		plan.secret().tell(&response.Diagnostics, "The token cannot be made", err)
		return
	}
	// What is made is in the state before anything else can fail.
	made := plan
	r.read(ctx, &made, token, &response.Diagnostics)
	made.Token = optional(token.Text)
	response.Diagnostics.Append(response.State.Set(ctx, made)...)
	noteVersion(ctx, made.Version, response.Private, &response.Diagnostics)
	if !plan.Enabled.ValueBool() && token.DisabledAt == nil {
		token, err := r.of.EnableToken(ctx, token.ID, token.ETag, false)
		if err != nil {
			tell(&response.Diagnostics, "The token was made, and cannot be switched off", err)
			return
		}
		r.read(ctx, &made, token, &response.Diagnostics)
		response.Diagnostics.Append(response.State.Set(ctx, made)...)
	}
}

// adopt takes over what an interrupted apply has made: by this same token, a while ago, as it is wanted now, and never used.
func (r *tokenResource) adopt(ctx context.Context, id string, role api.Role, plan tokenModel, fields api.Fields, refused error) (api.Token, error) {
	token, err := r.of.Token(ctx, id)
	if err != nil {
		return api.Token{}, refused
	}
	self, err := r.of.Self(ctx)
	if err != nil {
		return api.Token{}, refused
	}
	unused := token.LastUsedAt == nil && token.AllowedCount == 0 && token.DeniedCount == 0
	equal := token.RoleID == role.ID && token.Description == plan.Description.ValueString() && plan.isUntouched(fields, token) && sameAttributes(fields, token)
	if token.CreatorID != self.ID || !r.of.Unfinished(token.CreatedAt) || !unused || !equal {
		return api.Token{}, taken(refused, id)
	}
	rotation, etag := rotationOf(fields)
	if token.DisabledAt != nil && etag == "" {
		// One that is switched off gets no secret; nobody knows the one that it has.
		if _, err = r.of.EnableToken(ctx, id, token.ETag, true); err != nil {
			return api.Token{}, err
		}
	}
	token, err = r.of.RotateToken(ctx, id, etag, rotation)
	if api.Changed(err) {
		return api.Token{}, taken(refused, id)
	}
	return token, err
}

func (r *tokenResource) Read(ctx context.Context, request resource.ReadRequest, response *resource.ReadResponse) {
	var state tokenModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	token, err := r.of.Token(ctx, state.ID.ValueString())
	switch {
	case err != nil:
		r.unread(ctx, response, "token", err)
	case token.State == "revoked":
		response.Diagnostics.AddWarning("The token was taken back", fmt.Sprintf("`%s` is refused%s. It is made anew, with another id and another secret.", token.Name, takenBack(token.Revocation)))
		response.State.RemoveResource(ctx)
	default:
		if token.DisabledAt != nil && state.Enabled.ValueBool() {
			response.Diagnostics.AddAttributeWarning(path.Root("enabled"), "The token is switched off", switchedOff(token))
		}
		known := state.Version
		r.read(ctx, &state, token, &response.Diagnostics)
		warnOfNewer(ctx, token.Name, state.secret(), known, state.Version, request.Private, response.Private, &response.Diagnostics)
		response.Diagnostics.Append(response.State.Set(ctx, state)...)
	}
}

// switchedOff says since when, and why, where the server did it.
func switchedOff(token api.Token) string {
	said := fmt.Sprintf("`%s` is refused since %s", token.Name, token.DisabledAt.UTC().Format(time.RFC3339))
	switch token.DisabledBecause {
	case "":
		said += "; somebody switched it off."
	case "secret_reused":
		said += ": a secret of it that was replaced came back. Whoever presented it has found the old one: look at the audit log, and rotate the token."
	default:
		said += ": " + strings.ReplaceAll(token.DisabledBecause, "_", " ") + "."
	}
	return said + " An apply with `enabled = true` switches it on again; `enabled = false` leaves it."
}

// takenBack says by whom, when and why, as far as it is known.
func takenBack(it *api.Revocation) string {
	if it == nil {
		return ""
	}
	said := " since " + it.At.UTC().Format(time.RFC3339)
	if it.ByName != "" {
		said += ", by " + it.ByName
	}
	said += " (" + it.Reason + ")"
	if it.Note != "" {
		said += ": " + it.Note
	}
	return said
}

// read takes over what the server says, in the words of the configuration where they mean the same.
func (r *tokenResource) read(ctx context.Context, into *tokenModel, token api.Token, diagnostics *diag.Diagnostics) {
	into.ID, into.State = types.StringValue(token.ID), types.StringValue(token.State)
	into.Description = describe(into.Description, token.Description)
	into.Role = roleText(into.Role, token.RoleID, token.RoleName)
	into.readLife(token)
	into.readAttributes(ctx, r.of, token, diagnostics)
	into.LastFour = types.StringValue(token.LastFour)
	version := int64(0)
	if len(token.Versions) > 0 {
		version = int64(token.Versions[0].Version)
	} else if !into.Version.IsUnknown() {
		// Of a token that is over none is told.
		version = into.Version.ValueInt64()
	}
	into.Version = types.Int64Value(version)
}

func (r *tokenResource) Update(ctx context.Context, request resource.UpdateRequest, response *resource.UpdateResponse) {
	var state, plan, config tokenModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}, sent{request.Plan, &plan}, sent{request.Config, &config}) {
		return
	}
	id := state.ID.ValueString()
	rotated, _ := rotates(state.secret(), plan.secret())
	fields, err := r.edits(ctx, state, plan, &response.Diagnostics)
	if err != nil {
		response.Diagnostics.AddAttributeError(path.Root("role"), "The token cannot be changed", err.Error())
	}
	if response.Diagnostics.HasError() {
		return
	}
	if state.secret().name() == "" {
		// The secret that an import found is the configuration's from now on.
		noteVersion(ctx, state.Version, response.Private, &response.Diagnostics)
	}
	done := state
	save := func() { response.Diagnostics.Append(response.State.Set(ctx, done)...) }
	if !rotated && len(fields) == 0 && plan.Enabled.Equal(state.Enabled) {
		// What only the configuration knows is adopted after an import, and nobody is asked.
		if plan.State.IsUnknown() {
			plan.State = state.State
		}
		done = plan
		save()
		return
	}
	if rotated {
		rotation := plan.rotation()
		if !plan.secret().put(rotation, config.SecretWO, weak, &response.Diagnostics) {
			return
		}
		token, err := r.of.Token(ctx, id)
		if err == nil && token.DisabledAt != nil && plan.Enabled.ValueBool() {
			// One that is switched off gets no secret.
			if token, err = r.of.EnableToken(ctx, id, token.ETag, true); err == nil {
				done.Enabled = plan.Enabled
				r.read(ctx, &done, token, &response.Diagnostics)
				save()
			}
		}
		if end, sooner := sooner(fields, token); err == nil && sooner {
			// A newer policy of the organization may refuse to rotate one with the end that it has.
			if token, err = r.of.EditToken(ctx, id, token.ETag, end); err == nil {
				r.read(ctx, &done, token, &response.Diagnostics)
				save()
			}
		}
		if err == nil {
			token, err = r.of.RotateToken(ctx, id, token.ETag, rotation)
		}
		if err != nil {
			plan.secret().tell(&response.Diagnostics, "The token cannot be rotated", err)
			return
		}
		// Whatever fails from here on, the new secret is the one that counts. Its life is counted by the edit: until then none is.
		done.keepForm(plan.tokenSecret)
		done.ExpiresIn = types.StringNull()
		done.Token = optional(token.Text)
		r.read(ctx, &done, token, &response.Diagnostics)
		save()
		noteVersion(ctx, done.Version, response.Private, &response.Diagnostics)
	}
	token, err := r.of.Token(ctx, id)
	if err == nil {
		withoutWhatIs(fields, token)
	}
	if err == nil && len(fields) > 0 {
		if token, err = r.of.EditToken(ctx, id, token.ETag, fields); err == nil {
			kept := plan
			kept.Enabled, kept.Token, kept.Version = done.Enabled, done.Token, done.Version
			kept.keepForm(done.tokenSecret)
			done = kept
			r.read(ctx, &done, token, &response.Diagnostics)
			save()
		}
	}
	if err == nil && plan.Enabled.ValueBool() != (token.DisabledAt == nil) {
		token, err = r.of.EnableToken(ctx, id, token.ETag, plan.Enabled.ValueBool())
	}
	if err != nil {
		tell(&response.Diagnostics, "The token cannot be changed", err)
		return
	}
	plan.Token = done.Token
	planned := plan.State
	r.read(ctx, &plan, token, &response.Diagnostics)
	if !planned.IsUnknown() {
		// The clock may have changed it since the plan, as a brownout's window does: the next one says so.
		plan.State = planned
	}
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

// edits are the attributes of the server that a change means; what only the configuration knows is none.
func (r *tokenResource) edits(ctx context.Context, state, plan tokenModel, diagnostics *diag.Diagnostics) (api.Fields, error) {
	fields := api.Fields{}
	text := func(name string, before, after types.String) {
		if before.Equal(after) || after.IsUnknown() {
			return
		}
		fields[name] = nil
		if !after.IsNull() {
			fields[name] = after.ValueString()
		}
	}
	text("description", state.Description, plan.Description)
	plan.editedLife(fields, state.tokenLife, r.of.Now())
	if !state.Role.Equal(plan.Role) {
		role, err := roleID(ctx, r.of, plan.Role.ValueString())
		if err != nil {
			return nil, err
		}
		fields["role_id"] = role.ID
	}
	r.editedAttributes(ctx, fields, state.tokenDetails, plan.tokenDetails, diagnostics)
	return fields, nil
}

func (r *tokenResource) Delete(ctx context.Context, request resource.DeleteRequest, response *resource.DeleteResponse) {
	var state tokenModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	r.deleted(ctx, response, "token", r.of.DeleteToken(ctx, state.ID.ValueString()))
}

func (r *tokenResource) ImportState(ctx context.Context, request resource.ImportStateRequest, response *resource.ImportStateResponse) {
	r.importAs(ctx, request, response, "token", path.Root("id"), func(wanted string) (string, error) {
		all, err := r.of.KnownTokens(ctx)
		if err != nil {
			return "", err
		}
		token, err := byName(all, wanted, "token", func(it api.Token) (string, string) { return it.ID, it.Name })
		return token.ID, err
	})
}
