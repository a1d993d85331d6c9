package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// managed is what every resource has: the organization, once the provider is configured.
type managed struct{ of *api.Of }

func (m *managed) Configure(_ context.Context, request resource.ConfigureRequest, response *resource.ConfigureResponse) {
	configured(request.ProviderData, &m.of, &response.Diagnostics)
}

func configured(data any, of **api.Of, diagnostics *diag.Diagnostics) {
	// Before the provider is configured there is none, and nothing is asked.
	if data == nil {
		return
	}
	given, ok := data.(*api.Of)
	if !ok {
		diagnostics.AddError("The provider is not configured", fmt.Sprintf("It passed on a %T. This is a fault of the provider.", data))
	}
	*of = given
}

// The attributes of a request by their names here, where those differ.
var attributes = map[string]string{"role_id": "role", "keep": "overlap", "silent": "end_when_silent", "sha256": "digest", "cluster": "cluster_id", "owner_id": "owner", "successor_id": "successor", "opa_policy": "policy", "routes": "document"}

// The field that is refused by an error that names none.
var fieldOf = map[string]string{"name_taken": "name", "digest_used": "sha256"}

// tell says what a server said: its own words, the missing permission, and at which attribute.
func tell(diagnostics *diag.Diagnostics, summary string, err error) {
	tellAt(diagnostics, summary, err, attributeOf)
}

// attributeOf is the attribute that a field of a request comes from.
func attributeOf(field string) path.Path {
	name, _, _ := strings.Cut(field, "[")
	name, _, _ = strings.Cut(name, ".")
	if known, ok := attributes[name]; ok {
		name = known
	}
	return path.Root(name)
}

// placed is what is wrong with one attribute of a configuration.
type placed struct {
	attribute string
	error
}

func (p *placed) Unwrap() error { return p.error }

// at says at which attribute something is wrong.
func at(attribute string, err error) error { return &placed{attribute, err} }

// tellAt is tell where the attributes of fields are others.
func tellAt(diagnostics *diag.Diagnostics, summary string, err error, at func(field string) path.Path) {
	var where *placed
	if errors.As(err, &where) {
		diagnostics.AddAttributeError(path.Root(where.attribute), summary, err.Error())
		return
	}
	if api.Changed(err) {
		diagnostics.AddError(summary, "It was changed meanwhile, by somebody else, and nothing was overwritten. Plan again: that shows what is different now.")
		return
	}
	var ours *api.Error
	if !errors.As(err, &ours) {
		diagnostics.AddError(summary, err.Error())
		return
	}
	if len(ours.Faults) == 0 {
		if field, known := fieldOf[ours.Code]; known {
			diagnostics.AddAttributeError(at(field), summary, err.Error())
		} else {
			diagnostics.AddError(summary, err.Error())
		}
		return
	}
	// What was said besides of what to do, such as the id of who has a name.
	more := strings.TrimPrefix(err.Error(), ours.Error())
	for _, fault := range ours.Faults {
		diagnostics.AddAttributeError(at(fault.Field), summary, "`"+fault.Field+"` "+fault.Problem+"."+more)
	}
}

// lost says what to do with an object that cannot be `done` to, read or deleted: true only where it is surely gone. Else the
// state stays.
func (m *managed) lost(ctx context.Context, diagnostics *diag.Diagnostics, done, what string, err error) bool {
	permission := what + ":read"
	if what == policyToken {
		// Nobody else sees one: its policy says what it cannot do.
		permission = "policy:manage"
	}
	if m.of.Gone(ctx, err, permission) {
		return true
	}
	if api.NotFound(err) {
		diagnostics.AddError("The "+what+" was deleted, or is not visible to this token",
			"Nothing was taken out of the state. This token does not read everything of its kind (`"+permission+"`), and so nobody knows "+
				"which of both it is. Use a token that does; or, if you know that it was deleted, take it out of the state (`terraform state rm`, `pulumi state delete`).")
		return false
	}
	tell(diagnostics, "The "+what+" cannot be "+done, err)
	return false
}

// unread takes out of the state what cannot be read since it is surely gone.
func (m *managed) unread(ctx context.Context, response *resource.ReadResponse, what string, err error) {
	if m.lost(ctx, &response.Diagnostics, "read", what, err) {
		response.State.RemoveResource(ctx)
	}
}

// deleted ends a deletion. One that finds nothing is done where the object is surely gone, and only there.
func (m *managed) deleted(ctx context.Context, response *resource.DeleteResponse, what string, err error) {
	if err != nil {
		m.lost(ctx, &response.Diagnostics, "deleted", what, err)
	}
}

// importAs finds what an import names, as NAME or ORGANIZATION/NAME, and begins its state with the attribute by which it is read.
func (m *managed) importAs(ctx context.Context, request resource.ImportStateRequest, response *resource.ImportStateResponse, what string, by path.Path, find func(wanted string) (key string, err error)) {
	key, err := named(m.of, request.ID, find)
	if err != nil {
		tell(&response.Diagnostics, "The "+what+" cannot be imported", err)
		return
	}
	response.Diagnostics.Append(response.State.SetAttribute(ctx, by, key)...)
}

// named finds what somebody has written, as NAME or ORGANIZATION/NAME. A name may have a slash itself.
func named[T any](of *api.Of, written string, find func(wanted string) (T, error)) (T, error) {
	organization, name, both := strings.Cut(written, "/")
	whole, err := find(written)
	if err == nil || !both {
		return whole, err
	}
	if foreign := own(of, organization); foreign != nil {
		return whole, fmt.Errorf("%w; and %w", err, foreign)
	}
	return find(name)
}

// sent is what a core has sent, a configuration, a plan or a state, and the model that it is read into.
type sent struct {
	from interface {
		Get(context.Context, any) diag.Diagnostics
	}
	into any
}

// take reads what a core has sent; false where something of it cannot be read, which is told.
func take(ctx context.Context, diagnostics *diag.Diagnostics, all ...sent) bool {
	understood := true
	for _, it := range all {
		problems := it.from.Get(ctx, it.into)
		diagnostics.Append(problems...)
		understood = understood && !problems.HasError()
	}
	return understood
}

// adopted goes on after an apply that was killed before the state knew what it had made: that is found by its name, and taken
// over where it is surely that, and is what is wanted now. Else the error says what to do about it.
func adopted[T any](ctx context.Context, of *api.Of, id string, refused error, find func(id string) (T, error), wanted func(T) bool) (T, error) {
	if it, err := find(id); err == nil && wanted(it) && of.Interrupted(ctx, id) {
		return it, nil
	}
	var none T
	return none, taken(refused, id)
}

// taken says what to do about a name that somebody has.
func taken(refused error, id string) error {
	return fmt.Errorf("%w It has the id %s: if it is this one, `terraform import` it; else choose another name", refused, id)
}

// oneOf says so where a text of the configuration is none of some words.
func oneOf(at path.Path, text types.String, diagnostics *diag.Diagnostics, words ...string) {
	if !text.IsNull() && !text.IsUnknown() && !slices.Contains(words, text.ValueString()) {
		diagnostics.AddAttributeError(at, "This is no choice", "`"+at.String()+"` is one of: "+strings.Join(words, ", ")+".")
	}
}

// same keeps the text of the configuration where it means what the server says.
func same(before types.String, now string, equal func(before, now string) bool) types.String {
	if !before.IsNull() && !before.IsUnknown() && equal(before.ValueString(), now) {
		return before
	}
	return types.StringValue(now)
}

// roleText keeps the name or the id by which a role was named.
func roleText(before types.String, id, name string) types.String {
	return same(before, name, func(before, _ string) bool { return before == id || strings.EqualFold(before, name) })
}

// optional is null for an empty text.
func optional(text string) types.String {
	if text == "" {
		return types.StringNull()
	}
	return types.StringValue(text)
}

// describe keeps an empty description where somebody wrote one: the server says nothing of either.
func describe(before types.String, now string) types.String {
	if now == "" && !before.IsNull() && !before.IsUnknown() && before.ValueString() == "" {
		return before
	}
	return optional(now)
}

func moment(before types.String, now *time.Time) types.String {
	if now == nil {
		return types.StringNull()
	}
	return same(before, now.UTC().Format("2006-01-02T15:04:05.000000Z07:00"), func(before, _ string) bool {
		at, err := time.Parse(time.RFC3339, before)
		return err == nil && at.Equal(*now)
	})
}

// roleID finds a role by name or id. One that is not among those that the run has read may have been made since.
func roleID(ctx context.Context, of *api.Of, wanted string) (api.Role, error) {
	var names []string
	for _, read := range []func(context.Context) ([]api.Role, error){of.KnownRoles, of.Roles} {
		roles, err := read(ctx)
		if err != nil {
			return api.Role{}, err
		}
		names = nil
		for _, it := range roles {
			names = append(names, it.Name)
			if it.ID == wanted || strings.EqualFold(it.Name, wanted) {
				return it, nil
			}
		}
	}
	return api.Role{}, fmt.Errorf("there is no role `%s`, or this token may not see it. There are: %s", wanted, strings.Join(names, ", "))
}

// own says so where a name or id is of another organization than the provider's.
func own(of *api.Of, organization string) error {
	if organization != of.ID && !strings.EqualFold(organization, of.Name) {
		return fmt.Errorf("this provider manages the organization `%s`, not `%s`", of.Name, organization)
	}
	return nil
}

// byName finds the one that an import, or a data source, means.
func byName[T any](all []T, wanted, what string, read func(T) (id, name string)) (T, error) {
	var none T
	for _, it := range all {
		if id, name := read(it); id == wanted || sameAddress(name, wanted) {
			return it, nil
		}
	}
	return none, fmt.Errorf("there is no %s `%s`, or this token may not see it", what, wanted)
}

// idAttribute is the id that the server gives.
func idAttribute() schema.StringAttribute {
	return schema.StringAttribute{Computed: true, PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()}}
}

// texts reads a set of texts.
func texts(ctx context.Context, set types.Set, diagnostics *diag.Diagnostics) []string {
	read := []string{}
	if !set.IsNull() && !set.IsUnknown() {
		diagnostics.Append(set.ElementsAs(ctx, &read, false)...)
	}
	return read
}

// textSet makes one; null where it is empty and was not there before.
func textSet(all []string, before types.Set) types.Set {
	if len(all) == 0 && before.IsNull() {
		return types.SetNull(types.StringType)
	}
	values := make([]attr.Value, 0, len(all))
	for _, it := range all {
		values = append(values, types.StringValue(it))
	}
	return types.SetValueMust(types.StringType, values)
}
