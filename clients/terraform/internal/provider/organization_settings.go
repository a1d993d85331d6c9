package provider

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/boolplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// What an organization asks of tokens and of sessions, and how long it keeps what its events say.

// lifeModel is what is asked of the lives of tokens.
type lifeModel struct {
	MaxLifetime     types.String `tfsdk:"max_lifetime"`
	DefaultLifetime types.String `tfsdk:"default_lifetime"`
	EndRequired     types.Bool   `tfsdk:"end_required"`
	MaxOverlap      types.String `tfsdk:"max_overlap"`
}

// tokenPolicyModel is all that is asked of tokens.
type tokenPolicyModel struct {
	MaxLifetime     types.String `tfsdk:"max_lifetime"`
	DefaultLifetime types.String `tfsdk:"default_lifetime"`
	EndRequired     types.Bool   `tfsdk:"end_required"`
	MaxOverlap      types.String `tfsdk:"max_overlap"`
	OnReuse         types.String `tfsdk:"on_reuse"`
	AttestEvery     types.String `tfsdk:"attest_every"`
	Roles           types.Map    `tfsdk:"roles"`
}

var (
	lifeTypes = map[string]attr.Type{"max_lifetime": types.StringType, "default_lifetime": types.StringType, "end_required": types.BoolType, "max_overlap": types.StringType}
	roleLives = types.ObjectType{AttrTypes: lifeTypes}

	policyTypes = map[string]attr.Type{"max_lifetime": types.StringType, "default_lifetime": types.StringType, "end_required": types.BoolType, "max_overlap": types.StringType,
		"on_reuse": types.StringType, "attest_every": types.StringType, "roles": types.MapType{ElemType: roleLives}}
	signInTypes = map[string]attr.Type{"providers": types.SetType{ElemType: types.StringType}, "two_factors": types.BoolType, "grace_days": types.Int64Type,
		"session_lifetime": types.StringType, "session_idle": types.StringType}
)

// What the server does where nobody says anything else of a secret that comes back.
const usualOnReuse = "mark"

// settingsAttributes are those of the schema.
func settingsAttributes() map[string]schema.Attribute {
	lives := map[string]schema.Attribute{
		"max_lifetime":     schema.StringAttribute{Optional: true, MarkdownDescription: "The longest that a token may live from the moment on at which its end is set, such as `90d`. With it a token must have an end."},
		"default_lifetime": schema.StringAttribute{Optional: true, MarkdownDescription: "How long a token lives of which nobody says when it ends."},
		"end_required":     schema.BoolAttribute{Optional: true, MarkdownDescription: "Whether a token must have an end."},
		"max_overlap":      schema.StringAttribute{Optional: true, MarkdownDescription: "The longest that the secret before may be kept when a token is rotated."},
	}
	policy := maps.Clone(lives)
	policy["on_reuse"] = schema.StringAttribute{Optional: true, MarkdownDescription: "What is done when a replaced secret comes back after its overlap: `mark` the token, or `disable` it as well."}
	policy["attest_every"] = schema.StringAttribute{Optional: true, MarkdownDescription: "How often owners are asked whether a token is still needed, such as `90d`."}
	policy["roles"] = schema.MapNestedAttribute{Optional: true, NestedObject: schema.NestedAttributeObject{Attributes: lives},
		MarkdownDescription: "What is asked besides of tokens with a role, by its name or id; the stricter counts."}
	return map[string]schema.Attribute{
		"token_policy": schema.SingleNestedAttribute{Optional: true, Computed: true, Attributes: policy, PlanModifiers: []planmodifier.Object{objectplanmodifier.UseStateForUnknown()},
			MarkdownDescription: "All that is asked of the lives of tokens; `{}` asks nothing. It counts for every end that is set from then on, and ends no token."},
		"event_retention": schema.StringAttribute{Optional: true, Computed: true, PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
			MarkdownDescription: "How long is kept what events say, such as `400d`, and not longer than the server keeps it; `none` leaves it to the server. What is older is erased for ever."},
		"forbids_device": schema.BoolAttribute{Optional: true, Computed: true, PlanModifiers: []planmodifier.Bool{boolplanmodifier.UseStateForUnknown()},
			MarkdownDescription: "Whether sessions are refused that were given to another machine by a code."},
		"sign_in": schema.SingleNestedAttribute{Computed: true, PlanModifiers: []planmodifier.Object{objectplanmodifier.UseStateForUnknown()},
			MarkdownDescription: "By what people sign in, to be looked at in a `check`. Only a person can change it: `tokenward org sign-in set`.",
			Attributes: map[string]schema.Attribute{
				"providers":        schema.SetAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "The keys of the providers of which one must have proved a session; none where any session will do."},
				"two_factors":      schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether only sessions count that two factors proved."},
				"grace_days":       schema.Int64Attribute{Computed: true, MarkdownDescription: "For how many days, from when two factors were first asked for, nobody is refused."},
				"session_lifetime": schema.StringAttribute{Computed: true, MarkdownDescription: "For how long a proof of who sits at a session counts; null for as long as the server says."},
				"session_idle":     schema.StringAttribute{Computed: true, MarkdownDescription: "For how long a session may lie unused; null for as long as the server says."},
			}},
	}
}

// checkSettings says what is wrong with them before a server is asked.
func (m *organizationModel) checkSettings(diagnostics *diag.Diagnostics) {
	if m.EventRetention.ValueString() != nobody {
		checkLength(path.Root("event_retention"), m.EventRetention, diagnostics)
	}
	if m.TokenPolicy.IsNull() || m.TokenPolicy.IsUnknown() {
		return
	}
	at := path.Root("token_policy")
	lengths := func(at path.Path, of map[string]attr.Value) {
		for _, name := range []string{"max_lifetime", "default_lifetime", "max_overlap", "attest_every"} {
			if text, ok := of[name].(types.String); ok {
				checkLength(at.AtName(name), text, diagnostics)
			}
		}
	}
	policy := m.TokenPolicy.Attributes()
	lengths(at, policy)
	if word, ok := policy["on_reuse"].(types.String); ok {
		oneOf(at.AtName("on_reuse"), word, diagnostics, usualOnReuse, "disable")
	}
	if roles, ok := policy["roles"].(types.Map); ok {
		for name, it := range roles.Elements() {
			if lives, ok := it.(types.Object); ok {
				lengths(at.AtName("roles").AtMapKey(name), lives.Attributes())
			}
		}
	}
}

// said is nil where nothing is.
func said(text types.String) *string {
	if text.IsNull() || text.IsUnknown() {
		return nil
	}
	return text.ValueStringPointer()
}

func (m lifeModel) rules() api.LifeRules {
	return api.LifeRules{MaxLifetime: said(m.MaxLifetime), DefaultLifetime: said(m.DefaultLifetime), EndRequired: m.EndRequired.ValueBool(), MaxOverlap: said(m.MaxOverlap)}
}

func (m tokenPolicyModel) lives() lifeModel {
	return lifeModel{m.MaxLifetime, m.DefaultLifetime, m.EndRequired, m.MaxOverlap}
}

// policyOf reads a token policy of a configuration or a state; one that is not there asks nothing.
func policyOf(ctx context.Context, of types.Object, diagnostics *diag.Diagnostics) (tokenPolicyModel, map[string]lifeModel) {
	policy, roles := tokenPolicyModel{Roles: types.MapNull(roleLives)}, map[string]lifeModel{}
	if !of.IsNull() && !of.IsUnknown() {
		diagnostics.Append(of.As(ctx, &policy, basetypes.ObjectAsOptions{})...)
	}
	if !policy.Roles.IsNull() && !policy.Roles.IsUnknown() {
		diagnostics.Append(policy.Roles.ElementsAs(ctx, &roles, false)...)
	}
	return policy, roles
}

// wantedPolicy is what a configuration asks, as a request has it, and the roles in its order.
func (r *organizationResource) wantedPolicy(ctx context.Context, config types.Object, diagnostics *diag.Diagnostics) (api.TokenPolicy, []string) {
	policy, roles := policyOf(ctx, config, diagnostics)
	wanted := api.TokenPolicy{LifeRules: policy.lives().rules(), OnReuse: policy.OnReuse.ValueString(), AttestEvery: said(policy.AttestEvery), Roles: []api.RoleRules{}}
	names := slices.Sorted(maps.Keys(roles))
	for _, name := range names {
		role, err := roleID(ctx, r.of, name)
		if err != nil {
			diagnostics.AddAttributeError(path.Root("token_policy").AtName("roles").AtMapKey(name), "The token policy cannot be written", err.Error())
			continue
		}
		wanted.Roles = append(wanted.Roles, api.RoleRules{RoleID: role.ID, LifeRules: roles[name].rules()})
	}
	return wanted, names
}

// policyPath is where a field of a token policy stands in a configuration whose roles are these.
func policyPath(names []string) func(field string) path.Path {
	return func(field string) path.Path {
		at := path.Root("token_policy")
		place, ofRole := strings.CutPrefix(field, "roles[")
		if !ofRole {
			return at.AtName(field)
		}
		number, rest, _ := strings.Cut(place, "]")
		at = at.AtName("roles")
		if index, err := strconv.Atoi(number); err == nil && index >= 0 && index < len(names) {
			at = at.AtMapKey(names[index])
			// The role itself is the key.
			if name := strings.TrimPrefix(rest, "."); name != "" && name != "role_id" {
				at = at.AtName(name)
			}
		}
		return at
	}
}

func sameRules(one, other api.LifeRules) bool {
	same := func(a, b *string) bool { return a == nil && b == nil || a != nil && b != nil && sameLength(*a, *b) }
	return one.EndRequired == other.EndRequired && same(one.MaxLifetime, other.MaxLifetime) && same(one.DefaultLifetime, other.DefaultLifetime) && same(one.MaxOverlap, other.MaxOverlap)
}

// samePolicy says whether two ask the same, in whatever words.
func samePolicy(one, other api.TokenPolicy) bool {
	byRole := func(of api.TokenPolicy) map[string]api.LifeRules {
		roles := map[string]api.LifeRules{}
		for _, it := range of.Roles {
			roles[strings.ToLower(it.RoleID)] = it.LifeRules
		}
		return roles
	}
	reuse := func(of api.TokenPolicy) bool { return of.OnReuse == "" || of.OnReuse == usualOnReuse }
	return sameRules(one.LifeRules, other.LifeRules) && reuse(one) == reuse(other) &&
		sameRules(api.LifeRules{MaxLifetime: one.AttestEvery}, api.LifeRules{MaxLifetime: other.AttestEvery}) &&
		maps.EqualFunc(byRole(one), byRole(other), sameRules)
}

// lengthText keeps the text of the configuration where it is the same length.
func lengthText(before types.String, now *string) types.String {
	if now == nil {
		return types.StringNull()
	}
	return same(before, *now, sameLength)
}

func (m lifeModel) read(now api.LifeRules) lifeModel {
	end := types.BoolNull()
	if now.EndRequired || !m.EndRequired.IsNull() {
		end = types.BoolValue(now.EndRequired)
	}
	return lifeModel{lengthText(m.MaxLifetime, now.MaxLifetime), lengthText(m.DefaultLifetime, now.DefaultLifetime), end, lengthText(m.MaxOverlap, now.MaxOverlap)}
}

// readPolicy takes over what the server says, in the words of the configuration where they mean the same. Null where nothing is asked,
// and nobody has said so.
func (r *organizationResource) readPolicy(ctx context.Context, before types.Object, now api.TokenPolicy, diagnostics *diag.Diagnostics) types.Object {
	if samePolicy(now, api.TokenPolicy{}) && (before.IsNull() || before.IsUnknown()) {
		return types.ObjectNull(policyTypes)
	}
	policy, written := policyOf(ctx, before, diagnostics)
	lives := policy.lives().read(now.LifeRules)
	policy.MaxLifetime, policy.DefaultLifetime, policy.EndRequired, policy.MaxOverlap = lives.MaxLifetime, lives.DefaultLifetime, lives.EndRequired, lives.MaxOverlap
	if now.OnReuse != usualOnReuse || !policy.OnReuse.IsNull() {
		policy.OnReuse = optional(now.OnReuse)
	}
	policy.AttestEvery = lengthText(policy.AttestEvery, now.AttestEvery)
	roles := map[string]lifeModel{}
	var all []api.Role
	if len(now.Roles) > 0 {
		var err error
		if all, err = r.of.KnownRoles(ctx); err != nil {
			tell(diagnostics, "The roles of the token policy cannot be read", err)
		}
	}
	for _, it := range now.Roles {
		key := it.RoleID
		for _, role := range all {
			if role.ID == it.RoleID {
				key = role.Name
			}
		}
		for word := range written {
			if strings.EqualFold(word, it.RoleID) || strings.EqualFold(word, key) {
				key = word
			}
		}
		roles[key] = written[key].read(it.LifeRules)
	}
	if len(roles) > 0 || !policy.Roles.IsNull() {
		kept, problems := types.MapValueFrom(ctx, roleLives, roles)
		diagnostics.Append(problems...)
		policy.Roles = kept
	}
	object, problems := types.ObjectValueFrom(ctx, policyTypes, policy)
	diagnostics.Append(problems...)
	return object
}

// unseen says whether something is not told to this token, and nobody has said anything of it either.
func unseen(err error, before attr.Value) bool {
	return api.Lacks(err) && (before.IsNull() || before.IsUnknown())
}

// readSettings takes over what the server says of all of these.
func (r *organizationResource) readSettings(ctx context.Context, m *organizationModel, diagnostics *diag.Diagnostics) {
	m.TokenPolicy = r.seenPolicy(ctx, m.TokenPolicy, diagnostics)
	m.EventRetention = r.seenRetention(ctx, m.EventRetention, diagnostics)
	m.SignIn = r.seenSignIn(ctx, m.SignIn, diagnostics)
}

func (r *organizationResource) seenPolicy(ctx context.Context, before types.Object, diagnostics *diag.Diagnostics) types.Object {
	now, err := r.of.TokenPolicy(ctx)
	switch {
	case unseen(err, before):
		return types.ObjectNull(policyTypes)
	case err != nil:
		tell(diagnostics, "The token policy of the organization cannot be read", err)
		return before
	}
	return r.readPolicy(ctx, before, now, diagnostics)
}

func (r *organizationResource) seenRetention(ctx context.Context, before types.String, diagnostics *diag.Diagnostics) types.String {
	now, err := r.of.EventRetention(ctx)
	switch {
	case unseen(err, before):
		return types.StringNull()
	case err != nil:
		tell(diagnostics, "How long the organization keeps its events cannot be read", err)
		return before
	}
	return readRetention(before, now.Own)
}

func readRetention(before types.String, now *string) types.String {
	if now == nil && before.ValueString() == nobody {
		return before
	}
	return lengthText(before, now)
}

func (r *organizationResource) seenSignIn(ctx context.Context, before types.Object, diagnostics *diag.Diagnostics) types.Object {
	now, err := r.of.SignInPolicy(ctx)
	switch {
	case unseen(err, before):
		return types.ObjectNull(signInTypes)
	case err != nil:
		tell(diagnostics, "By what people sign in to the organization cannot be read", err)
		return before
	}
	return types.ObjectValueMust(signInTypes, map[string]attr.Value{
		"providers":        textSet(now.Providers, types.SetUnknown(types.StringType)),
		"two_factors":      types.BoolValue(now.TwoFactors),
		"grace_days":       types.Int64Value(now.GraceDays),
		"session_lifetime": types.StringPointerValue(now.SessionLifetime),
		"session_idle":     types.StringPointerValue(now.SessionIdle),
	})
}

// setPolicy makes the token policy what the configuration says, and leaves it alone where that says nothing.
func (r *organizationResource) setPolicy(ctx context.Context, config, plan types.Object, diagnostics *diag.Diagnostics) (types.Object, bool) {
	if config.IsNull() {
		if plan.IsUnknown() {
			plan = r.seenPolicy(ctx, plan, diagnostics)
		}
		return plan, !diagnostics.HasError()
	}
	wanted, names := r.wantedPolicy(ctx, config, diagnostics)
	if diagnostics.HasError() {
		return plan, false
	}
	now, err := r.of.TokenPolicy(ctx)
	if err == nil && !samePolicy(wanted, now) {
		now, err = r.of.PutTokenPolicy(ctx, now.ETag, wanted)
	}
	if err != nil {
		tellAt(diagnostics, "The token policy cannot be written", err, policyPath(names))
		return plan, false
	}
	return r.readPolicy(ctx, config, now, diagnostics), !diagnostics.HasError()
}

// setRetention does the same with how long events are kept.
func (r *organizationResource) setRetention(ctx context.Context, config, plan types.String, diagnostics *diag.Diagnostics) (types.String, bool) {
	if config.IsNull() {
		if plan.IsUnknown() {
			plan = r.seenRetention(ctx, plan, diagnostics)
		}
		return plan, !diagnostics.HasError()
	}
	wanted := said(config)
	if config.ValueString() == nobody {
		wanted = nil
	}
	now, err := r.of.EventRetention(ctx)
	if err == nil && !(wanted == nil && now.Own == nil || wanted != nil && now.Own != nil && sameLength(*wanted, *now.Own)) {
		now, err = r.of.PutEventRetention(ctx, now.ETag, wanted)
	}
	if err != nil {
		tell(diagnostics, "How long events are kept cannot be written", err)
		return plan, false
	}
	return readRetention(config, now.Own), true
}
