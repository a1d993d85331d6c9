package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// What tokens of both kinds have besides their secret, role and end: by what they are found, who is accountable for them, and to what
// they are bound.
type tokenDetails struct {
	NotBefore    types.String `tfsdk:"not_before"`
	Networks     types.Set    `tfsdk:"networks"`
	Labels       types.Map    `tfsdk:"labels"`
	Metadata     types.String `tfsdk:"metadata"`
	Owner        types.String `tfsdk:"owner"`
	Successor    types.String `tfsdk:"successor"`
	Permissions  types.Set    `tfsdk:"permissions"`
	Projects     types.Set    `tfsdk:"projects"`
	Environments types.Set    `tfsdk:"environments"`
	RateLimit    types.Object `tfsdk:"rate_limit"`
	Quota        types.Object `tfsdk:"quota"`
}

// equal says whether nothing of it is another.
func (m tokenDetails) equal(other tokenDetails) bool {
	return m.NotBefore.Equal(other.NotBefore) && m.Networks.Equal(other.Networks) && m.Labels.Equal(other.Labels) && m.Metadata.Equal(other.Metadata) &&
		m.Owner.Equal(other.Owner) && m.Successor.Equal(other.Successor) && m.Permissions.Equal(other.Permissions) &&
		m.Projects.Equal(other.Projects) && m.Environments.Equal(other.Environments) && m.RateLimit.Equal(other.RateLimit) && m.Quota.Equal(other.Quota)
}

// nobody is an owner that is none.
const nobody = "none"

var (
	rateTypes  = map[string]attr.Type{"requests": types.Int64Type, "per": types.StringType, "burst": types.Int64Type}
	quotaTypes = map[string]attr.Type{"requests": types.Int64Type, "refill": types.StringType}
	uuidForm   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

// tokenAttributes are those of the schema.
func tokenAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"not_before": schema.StringAttribute{Optional: true, MarkdownDescription: "From when on it is accepted (RFC 3339)."},
		"networks": schema.SetAttribute{Optional: true, ElementType: types.StringType,
			MarkdownDescription: "The networks from which it is accepted; from everywhere where there are none. What stands behind a space is a note: `203.0.113.0/24 office`."},
		"labels": schema.MapAttribute{Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Words by which it is found and changed together with others, such as `{ team = \"shop\" }`."},
		"metadata": schema.StringAttribute{Optional: true,
			MarkdownDescription: "What your services want to know of it: the text of a JSON object, `jsonencode({ plan = \"gold\" })`. No secrets: it stands in lists and in the audit log."},
		"owner": schema.StringAttribute{Optional: true, Computed: true,
			MarkdownDescription: "The member who is accountable for it, by e-mail address or id; `none` for nobody. Where nothing is said, the owner of the provider's token."},
		"successor": schema.StringAttribute{Optional: true,
			MarkdownDescription: "The member who becomes its owner when that one leaves, by e-mail address or id."},
		"projects": schema.SetAttribute{Optional: true, ElementType: types.StringType,
			MarkdownDescription: "The projects, by name or id, that it is narrowed to, with all that is in them; wherever its role is where neither these nor `environments` are said."},
		"environments": schema.SetAttribute{Optional: true, ElementType: types.StringType,
			MarkdownDescription: "The environments that it is narrowed to besides, by id or as `PROJECT/ENVIRONMENT`."},
		"permissions": schema.SetAttribute{Optional: true, ElementType: types.StringType,
			MarkdownDescription: "The permissions of its role that it is narrowed to, such as `invoices:read`, `*:read` or `token:verify`; all of the role where nothing is said."},
		"rate_limit": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "How fast it may be used.", Attributes: map[string]schema.Attribute{
			"requests": schema.Int64Attribute{Required: true, MarkdownDescription: "So many requests."},
			"per":      schema.StringAttribute{Required: true, MarkdownDescription: "In a `second`, a `minute` or an `hour`."},
			"burst":    schema.Int64Attribute{Optional: true, MarkdownDescription: "So many at once; as many as `requests` where nothing is said."},
		}},
		"quota": schema.SingleNestedAttribute{Optional: true, MarkdownDescription: "How much it may be used until it is filled again.", Attributes: map[string]schema.Attribute{
			"requests": schema.Int64Attribute{Required: true, MarkdownDescription: "So many requests."},
			"refill":   schema.StringAttribute{Required: true, MarkdownDescription: "Until the next `day` or `month` begins, in UTC."},
		}},
	}
}

// checkAttributes says what is wrong with them before a server is asked.
func (m tokenDetails) checkAttributes(diagnostics *diag.Diagnostics) {
	checkMoment("not_before", m.NotBefore, diagnostics)
	if !m.Metadata.IsNull() && !m.Metadata.IsUnknown() {
		if _, err := object(m.Metadata.ValueString()); err != nil {
			diagnostics.AddAttributeError(path.Root("metadata"), "This is no JSON object", "Write it as `jsonencode({ plan = \"gold\" })`: an object, without null anywhere in it.")
		}
	}
	if !m.Permissions.IsNull() && !m.Permissions.IsUnknown() && len(m.Permissions.Elements()) == 0 {
		diagnostics.AddAttributeError(path.Root("permissions"), "A token that may do nothing is no token", "Name the permissions that it keeps, or leave `permissions` out for all of its role.")
	}
	for name, of := range map[string]types.Set{"networks": m.Networks, "permissions": m.Permissions, "projects": m.Projects, "environments": m.Environments} {
		checkNulls(path.Root(name), of.Elements(), diagnostics)
	}
	checkNulls(path.Root("labels"), slices.Collect(maps.Values(m.Labels.Elements())), diagnostics)
	for name, places := range map[string]types.Set{"projects": m.Projects, "environments": m.Environments} {
		if !places.IsNull() && !places.IsUnknown() && len(places.Elements()) == 0 {
			diagnostics.AddAttributeError(path.Root(name), "A token that is nowhere is no token", "Name those that it keeps, or leave `"+name+"` out.")
		}
	}
	if owner, successor := m.Owner.ValueString(), m.Successor.ValueString(); successor != "" && sameAddress(owner, successor) {
		diagnostics.AddAttributeError(path.Root("successor"), "This is the owner", "A token goes to somebody else when its owner leaves.")
	}
	words := func(in types.Object, of, name string, all ...string) {
		if word, ok := in.Attributes()[name].(types.String); ok {
			oneOf(path.Root(of).AtName(name), word, diagnostics, all...)
		}
	}
	words(m.RateLimit, "rate_limit", "per", "second", "minute", "hour")
	words(m.Quota, "quota", "refill", "day", "month")
}

// checkNulls says so where one of several texts of the configuration is null: nobody knows what is meant.
func checkNulls(at path.Path, all []attr.Value, diagnostics *diag.Diagnostics) {
	if slices.ContainsFunc(all, attr.Value.IsNull) {
		diagnostics.AddAttributeError(at, "There is a null in it", "Each of `"+at.String()+"` is a text: leave out those that are null, as `compact(...)` does.")
	}
}

// checkMoment says so where a text of the configuration is no moment.
func checkMoment(name string, text types.String, diagnostics *diag.Diagnostics) {
	if _, err := time.Parse(time.RFC3339, text.ValueString()); err != nil && !text.IsNull() && !text.IsUnknown() {
		diagnostics.AddAttributeError(path.Root(name), "This is no moment", "Write it as 2027-01-31T12:00:00Z.")
	}
}

// object reads the text of a JSON object. In a merge patch null means "take it away", so that none can be kept.
func object(text string) (map[string]any, error) {
	var read map[string]any
	// Numbers stay as they are written: a float has no place for all of an id.
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&read); err != nil {
		return nil, err
	}
	if read == nil || decoder.More() || hasNull(read) {
		return nil, errors.New("it holds null, or more than one object")
	}
	plain, _ := numbers(read).(map[string]any)
	return plain, nil
}

// numbers makes 1 and 1.0 the same.
func numbers(value any) any {
	switch value := value.(type) {
	case json.Number:
		if whole, err := value.Int64(); err == nil {
			return whole
		}
		if fraction, err := value.Float64(); err == nil && fraction == math.Trunc(fraction) && math.Abs(fraction) < 1<<53 {
			return int64(fraction)
		}
	case map[string]any:
		for key, it := range value {
			value[key] = numbers(it)
		}
	case []any:
		for at, it := range value {
			value[at] = numbers(it)
		}
	}
	return value
}

func hasNull(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case map[string]any:
		for _, it := range value {
			if hasNull(it) {
				return true
			}
		}
	}
	return false
}

// patch is the merge patch (RFC 7396) that makes `after` of `before`.
func patch(before, after map[string]any) map[string]any {
	changes := map[string]any{}
	for key := range before {
		if _, kept := after[key]; !kept {
			changes[key] = nil
		}
	}
	for key, now := range after {
		was, known := before[key]
		if known && reflect.DeepEqual(was, now) {
			continue
		}
		inner, isObject := now.(map[string]any)
		if wasObject, both := was.(map[string]any); both && isObject {
			now = patch(wasObject, inner)
		}
		changes[key] = now
	}
	return changes
}

func labelsOf(ctx context.Context, labels types.Map, diagnostics *diag.Diagnostics) map[string]string {
	read := map[string]string{}
	if !labels.IsNull() && !labels.IsUnknown() {
		diagnostics.Append(labels.ElementsAs(ctx, &read, false)...)
	}
	return read
}

// labelMap is null where there are none.
func labelMap(labels map[string]string) types.Map {
	if len(labels) == 0 {
		return types.MapNull(types.StringType)
	}
	values := map[string]attr.Value{}
	for key, value := range labels {
		values[key] = types.StringValue(value)
	}
	return types.MapValueMust(types.StringType, values)
}

// values are those of a nested attribute as a request has them.
func values(of types.Object) any {
	if of.IsNull() || of.IsUnknown() {
		return nil
	}
	fields := api.Fields{}
	for name, value := range of.Attributes() {
		switch value := value.(type) {
		case types.Int64:
			if !value.IsNull() {
				fields[name] = value.ValueInt64()
			}
		case types.String:
			fields[name] = value.ValueString()
		}
	}
	return fields
}

// ownerID finds a member by address or id.
func ownerID(ctx context.Context, of *api.Of, wanted string) (any, error) {
	if wanted == nobody {
		return nil, nil
	}
	if uuidForm.MatchString(wanted) {
		return wanted, nil
	}
	members, _, err := of.KnownMembers(ctx)
	if err != nil {
		return nil, err
	}
	it, err := byName(members, wanted, "member", func(it api.Member) (string, string) { return it.ID, it.Email })
	return it.ID, err
}

// newAttributes puts into a request for a new token what the configuration says of these.
func (r *managed) newAttributes(ctx context.Context, fields api.Fields, plan tokenDetails, diagnostics *diag.Diagnostics) {
	if !plan.NotBefore.IsNull() {
		fields["not_before"] = plan.NotBefore.ValueString()
	}
	if networks := texts(ctx, plan.Networks, diagnostics); len(networks) > 0 {
		fields["networks"] = networksOf(networks)
	}
	if labels := labelsOf(ctx, plan.Labels, diagnostics); len(labels) > 0 {
		fields["labels"] = labels
	}
	if !plan.Metadata.IsNull() {
		// It was looked at before; a value that the plan did not know yet may be anything.
		metadata, err := object(plan.Metadata.ValueString())
		if err != nil {
			diagnostics.AddAttributeError(path.Root("metadata"), "This is no JSON object", err.Error())
		}
		fields["metadata"] = metadata
	}
	if !plan.Permissions.IsNull() {
		// An empty list, which the plan did not know yet, is refused, and never taken for all of the role.
		fields["permissions"] = texts(ctx, plan.Permissions, diagnostics)
	}
	for name, places := range map[string]types.Set{"projects": plan.Projects, "environments": plan.Environments} {
		if !places.IsNull() {
			fields[name] = r.placeIDs(ctx, name, places, diagnostics)
		}
	}
	if !plan.Successor.IsNull() {
		successor, err := ownerID(ctx, r.of, plan.Successor.ValueString())
		if err != nil {
			diagnostics.AddAttributeError(path.Root("successor"), "The successor cannot be found", err.Error())
		}
		fields["successor_id"] = successor
	}
	for name, it := range map[string]types.Object{"rate_limit": plan.RateLimit, "quota": plan.Quota} {
		if limit := values(it); limit != nil {
			fields[name] = limit
		}
	}
	if !plan.Owner.IsNull() && !plan.Owner.IsUnknown() {
		owner, err := ownerID(ctx, r.of, plan.Owner.ValueString())
		if err != nil {
			diagnostics.AddAttributeError(path.Root("owner"), "The owner cannot be found", err.Error())
		}
		fields["owner_id"] = owner
	}
}

// editedAttributes puts into an edit what is different about them.
func (r *managed) editedAttributes(ctx context.Context, fields api.Fields, state, plan tokenDetails, diagnostics *diag.Diagnostics) {
	if !state.NotBefore.Equal(plan.NotBefore) && !plan.NotBefore.IsUnknown() {
		fields["not_before"] = nil
		if !plan.NotBefore.IsNull() {
			fields["not_before"] = plan.NotBefore.ValueString()
		}
	}
	if before, after := texts(ctx, state.Networks, diagnostics), texts(ctx, plan.Networks, diagnostics); !state.Networks.Equal(plan.Networks) {
		switch {
		case len(after) > 0:
			fields["networks"] = networksOf(after)
		case len(before) > 0:
			fields["networks"] = nil
		}
	}
	if !state.Labels.Equal(plan.Labels) {
		changes, wanted := map[string]any{}, labelsOf(ctx, plan.Labels, diagnostics)
		for key, value := range wanted {
			changes[key] = value
		}
		for key := range labelsOf(ctx, state.Labels, diagnostics) {
			if _, kept := wanted[key]; !kept {
				changes[key] = nil
			}
		}
		fields["labels"] = changes
	}
	if !state.Metadata.Equal(plan.Metadata) {
		was, _ := object(state.Metadata.ValueString())
		now, err := object(plan.Metadata.ValueString())
		if err != nil && !plan.Metadata.IsNull() {
			diagnostics.AddAttributeError(path.Root("metadata"), "This is no JSON object", err.Error())
		}
		if changes := patch(was, now); len(changes) > 0 {
			fields["metadata"] = changes
		}
	}
	if !state.Permissions.Equal(plan.Permissions) {
		fields["permissions"] = nil
		if !plan.Permissions.IsNull() {
			fields["permissions"] = texts(ctx, plan.Permissions, diagnostics)
		}
	}
	for name, places := range map[string][2]types.Set{"projects": {state.Projects, plan.Projects}, "environments": {state.Environments, plan.Environments}} {
		if before, after := places[0], places[1]; !before.Equal(after) {
			fields[name] = nil
			if !after.IsNull() {
				fields[name] = r.placeIDs(ctx, name, after, diagnostics)
			}
		}
	}
	if !state.Successor.Equal(plan.Successor) {
		fields["successor_id"] = nil
		if !plan.Successor.IsNull() {
			successor, err := ownerID(ctx, r.of, plan.Successor.ValueString())
			if err != nil {
				diagnostics.AddAttributeError(path.Root("successor"), "The successor cannot be found", err.Error())
			}
			fields["successor_id"] = successor
		}
	}
	if !state.RateLimit.Equal(plan.RateLimit) {
		fields["rate_limit"] = values(plan.RateLimit)
	}
	if !state.Quota.Equal(plan.Quota) {
		fields["quota"] = values(plan.Quota)
	}
	if !plan.Owner.IsUnknown() && !plan.Owner.IsNull() && !state.Owner.Equal(plan.Owner) {
		owner, err := ownerID(ctx, r.of, plan.Owner.ValueString())
		if err != nil {
			diagnostics.AddAttributeError(path.Root("owner"), "The owner cannot be found", err.Error())
		}
		fields["owner_id"] = owner
	}
}

// readAttributes takes over what the server says of them, in the words of the configuration where they mean the same.
func (m *tokenDetails) readAttributes(ctx context.Context, of *api.Of, token api.Token, diagnostics *diag.Diagnostics) {
	m.NotBefore = moment(m.NotBefore, token.NotBefore)
	if before := texts(ctx, m.Networks, diagnostics); !sameNetworks(networksOf(before), token.Networks) || m.Networks.IsUnknown() {
		m.Networks = textSet(networkTexts(token.Networks), types.SetNull(types.StringType))
	}
	if m.Labels.IsUnknown() || !maps.Equal(labelsOf(ctx, m.Labels, diagnostics), token.Labels) {
		m.Labels = labelMap(token.Labels)
	}
	kept, _ := object(string(token.Metadata))
	if known, err := object(m.Metadata.ValueString()); err != nil || !reflect.DeepEqual(known, kept) && len(known)+len(kept) > 0 {
		m.Metadata = optional(string(token.Metadata))
	}
	known, now := texts(ctx, m.Permissions, diagnostics), slices.Sorted(slices.Values(token.Permissions))
	if slices.Sort(known); m.Permissions.IsUnknown() || !slices.Equal(known, now) {
		m.Permissions = textSet(now, types.SetNull(types.StringType))
	}
	m.RateLimit = readRate(m.RateLimit, token.RateLimit)
	m.Quota = readQuota(token.Quota)
	m.Owner = ownerText(m.Owner, token)
	m.Successor = successorText(ctx, of, m.Successor, token)
	m.Projects = places(ctx, of.Named, m.Projects, token.Projects, diagnostics)
	m.Environments = places(ctx, of.NamedEnvironment, m.Environments, token.Environments, diagnostics)
}

// placeIDs are the ids of the places that a configuration means, by name or id.
func (r *managed) placeIDs(ctx context.Context, name string, meant types.Set, diagnostics *diag.Diagnostics) []string {
	find, form := r.of.Named, "by name or id"
	if name == "environments" {
		find, form = r.of.NamedEnvironment, "by id or as PROJECT/ENVIRONMENT"
	}
	ids := []string{}
	for _, it := range texts(ctx, meant, diagnostics) {
		id, found := placeID(ctx, find, it)
		if !found {
			diagnostics.AddAttributeError(path.Root(name), "The token cannot be narrowed to this",
				fmt.Sprintf("`%s` is not among the `%s` that this token sees. Write it %s.", it, name, form))
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// placeID is the id of what somebody has written. Whether there is one of an id the server says.
func placeID(ctx context.Context, find func(context.Context, string) (string, bool), written string) (string, bool) {
	if uuidForm.MatchString(written) {
		return strings.ToLower(written), true
	}
	return find(ctx, written)
}

// places keeps the words of the configuration for those that it means.
func places(ctx context.Context, find func(context.Context, string) (string, bool), before types.Set, now []string, diagnostics *diag.Diagnostics) types.Set {
	written, same := map[string]string{}, !before.IsUnknown()
	for _, it := range texts(ctx, before, diagnostics) {
		id, found := placeID(ctx, find, it)
		if same = same && found; found {
			written[id] = it
		}
	}
	kept := []string{}
	for _, id := range now {
		word, known := written[id]
		if same = same && known; !known {
			word = id
		}
		kept = append(kept, word)
	}
	// Twice the same in two words is still the same.
	if same && len(written) == len(now) {
		return before
	}
	return textSet(kept, types.SetNull(types.StringType))
}

// successorText keeps the address or the id by which a successor was named. The server tells the id alone.
func successorText(ctx context.Context, of *api.Of, before types.String, token api.Token) types.String {
	if token.SuccessorID == "" {
		return types.StringNull()
	}
	if before.ValueString() == token.SuccessorID {
		return before
	}
	return same(before, of.MemberAddress(ctx, token.SuccessorID), sameAddress)
}

func readQuota(now *api.Quota) types.Object {
	if now == nil {
		return types.ObjectNull(quotaTypes)
	}
	return types.ObjectValueMust(quotaTypes, map[string]attr.Value{"requests": types.Int64Value(now.Requests), "refill": types.StringValue(now.Refill)})
}

func readRate(before types.Object, now *api.Rate) types.Object {
	if now == nil {
		return types.ObjectNull(rateTypes)
	}
	burst := types.Int64Value(now.Burst)
	// As many as in the whole time is what nobody has to say.
	said, ok := before.Attributes()["burst"].(types.Int64)
	if now.Burst == now.Requests && (!ok || said.IsNull()) {
		burst = basetypes.NewInt64Null()
	}
	return types.ObjectValueMust(rateTypes, map[string]attr.Value{"requests": types.Int64Value(now.Requests), "per": types.StringValue(now.Per), "burst": burst})
}

// ownerText keeps the address or the id by which an owner was named.
func ownerText(before types.String, token api.Token) types.String {
	if token.OwnerID == "" {
		if before.ValueString() == nobody {
			return before
		}
		return types.StringNull()
	}
	now := token.OwnerName
	if now == "" {
		now = token.OwnerID
	}
	return same(before, now, func(before, _ string) bool {
		return strings.EqualFold(before, token.OwnerID) || sameAddress(before, token.OwnerName)
	})
}

// sameAttributes says whether a token that is there is as the request for it would make it.
func sameAttributes(fields api.Fields, token api.Token) bool {
	equal := func(name string, now any, none bool) bool {
		wanted, given := fields[name]
		if !given {
			return none
		}
		one, err := asJSON(wanted)
		other, failed := asJSON(now)
		return err == nil && failed == nil && reflect.DeepEqual(one, other)
	}
	permissions, given := fields["permissions"].([]string)
	if slices.Sort(permissions); given {
		fields["permissions"] = permissions
	}
	rate := token.RateLimit
	if wanted, ok := fields["rate_limit"].(api.Fields); ok && rate != nil && wanted["burst"] == nil {
		plain := *rate
		if plain.Burst == plain.Requests {
			plain.Burst = 0
		}
		rate = &plain
	}
	owner, said := fields["owner_id"]
	for _, name := range []string{"projects", "environments"} {
		if wanted, given := fields[name].([]string); given {
			fields[name] = slices.Sorted(slices.Values(wanted))
		}
	}
	networks, _ := fields["networks"].([]api.Network)
	return sameNetworks(networks, token.Networks) && sameMoment(fields["not_before"], token.NotBefore) &&
		equal("projects", slices.Sorted(slices.Values(token.Projects)), len(token.Projects) == 0) &&
		equal("environments", slices.Sorted(slices.Values(token.Environments)), len(token.Environments) == 0) &&
		equal("successor_id", token.SuccessorID, token.SuccessorID == "") && equal("labels", token.Labels, len(token.Labels) == 0) && equal("metadata", token.Metadata, len(token.Metadata) == 0) &&
		equal("permissions", slices.Sorted(slices.Values(token.Permissions)), len(token.Permissions) == 0) &&
		equal("rate_limit", rate, rate == nil) && equal("quota", token.Quota, token.Quota == nil) &&
		(!said || owner == nil && token.OwnerID == "" || owner == token.OwnerID)
}

// asJSON is a value as it comes out of a body.
func asJSON(value any) (any, error) {
	text, err := json.Marshal(value)
	var read any
	if err == nil {
		err = json.Unmarshal(text, &read)
	}
	return read, err
}

// networksOf are the networks that texts of a configuration mean: what stands behind a space is a note.
func networksOf(all []string) []api.Network {
	networks := make([]api.Network, 0, len(all))
	for _, it := range all {
		it = strings.TrimSpace(it)
		noted := api.Network{Network: it}
		if at := strings.IndexFunc(it, unicode.IsSpace); at > 0 {
			noted = api.Network{Network: it[:at], Note: strings.TrimSpace(it[at:])}
		}
		networks = append(networks, noted)
	}
	return networks
}

// networkTexts are networks as a configuration has them.
func networkTexts(all []api.Network) []string {
	texts := make([]string, 0, len(all))
	for _, it := range all {
		texts = append(texts, strings.TrimSpace(it.Network+" "+it.Note))
	}
	return texts
}

// sameNetworks says whether two lists mean the same networks, with the same notes.
func sameNetworks(before, now []api.Network) bool {
	if len(before) != len(now) {
		return false
	}
	meant := map[api.Network]bool{}
	for _, it := range before {
		meant[api.Network{Network: network(it.Network), Note: it.Note}] = true
	}
	for _, it := range now {
		if !meant[api.Network{Network: network(it.Network), Note: it.Note}] {
			return false
		}
	}
	return true
}

// network is one way to write a network: an address alone is a network of one.
func network(text string) string {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.Masked().String()
	}
	if address, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(address, address.BitLen()).String()
	}
	return text
}

func sameMoment(wanted any, is *time.Time) bool {
	text, given := wanted.(string)
	if !given {
		return is == nil
	}
	at, err := time.Parse(time.RFC3339, text)
	return err == nil && is != nil && at.Equal(*is)
}

// withoutWhatIs leaves out of an edit what a token has already, in whatever words somebody wrote it.
func withoutWhatIs(fields api.Fields, token api.Token) {
	for name, moment := range map[string]*time.Time{"expires_at": token.ExpiresAt, "not_before": token.NotBefore} {
		if wanted, given := fields[name]; given && sameMoment(wanted, moment) {
			delete(fields, name)
		}
	}
	for name, now := range map[string]string{"role_id": token.RoleID, "owner_id": token.OwnerID, "successor_id": token.SuccessorID, "description": token.Description, "name": token.Name} {
		if wanted, given := fields[name]; given && (wanted == now || wanted == nil && now == "") {
			delete(fields, name)
		}
	}
	for name, now := range map[string][]string{"permissions": token.Permissions, "projects": token.Projects, "environments": token.Environments} {
		wanted, given := fields[name]
		all, _ := wanted.([]string)
		if given && slices.Equal(slices.Sorted(slices.Values(all)), slices.Sorted(slices.Values(now))) {
			delete(fields, name)
		}
	}
	if wanted, given := fields["networks"]; given {
		all, _ := wanted.([]api.Network)
		if sameNetworks(all, token.Networks) {
			delete(fields, "networks")
		}
	}
}
