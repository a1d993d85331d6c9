package api

import (
	"context"
	"strings"
	"sync"
)

// lists are what a run has listed, so that a hundred objects of a kind are read by one question. What was listed before the last
// write of this run does not count any more.
type lists struct {
	mutex sync.Mutex
	known map[string]*listed
}

type listed struct {
	mutex sync.Mutex
	value any
	// at is how much had been written when it was read; ever is false until it was.
	at   int
	ever bool
	// reads counts what was read by itself of what the list has.
	reads int
}

func (l *lists) at(path string) *listed {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.known == nil {
		l.known = map[string]*listed{}
	}
	if l.known[path] == nil {
		l.known[path] = new(listed)
	}
	return l.known[path]
}

// once reads a list once a run; false where it cannot be read, or something was written since.
func once[T any](o *Of, path string, read func(path string) (T, error)) (T, bool) {
	it := o.lists.at(path)
	it.mutex.Lock()
	defer it.mutex.Unlock()
	var none T
	if !it.ever {
		it.at, it.ever = o.written(), true
		value, err := read(path)
		if err != nil {
			// One by one then: each of a hundred would ask for a list once more that is refused, or too long.
			return none, false
		}
		it.value = value
	}
	if it.at != o.written() {
		return none, false
	}
	value, ok := it.value.(T)
	return value, ok
}

// A run that reads more of a kind than this one by one reads all at once.
const fewReads = 6

// many reads one of a kind out of a list that is read once, where a run reads many of them; false where it has to be read by itself:
// of the first few, after something was written, and where the list does not have it.
func many[T any](ctx context.Context, o *Of, path, id string, list func(context.Context) ([]T, error), key func(T) string) (T, bool) {
	it := o.lists.at(path)
	it.mutex.Lock()
	it.reads++
	few := it.reads <= fewReads
	it.mutex.Unlock()
	var none T
	if few {
		return none, false
	}
	// After a write the list would be read again and again; then one by one is better.
	all, known := once(o, path, func(string) (map[string]T, error) {
		listed, err := list(ctx)
		byID := make(map[string]T, len(listed))
		for _, one := range listed {
			byID[key(one)] = one
		}
		return byID, err
	})
	one, found := all[id]
	return one, known && found
}

// remembered reads a list again only where something was written since.
func remembered[T any](o *Of, path string, read func() (T, error)) (T, error) {
	it := o.lists.at(path)
	it.mutex.Lock()
	defer it.mutex.Unlock()
	at := o.written()
	if value, ok := it.value.(T); ok && it.ever && it.at == at {
		return value, nil
	}
	value, err := read()
	if err == nil {
		it.value, it.at, it.ever = value, at, true
	}
	return value, err
}

// MemberAddress is the e-mail address of a member, which does not change in a run; the id where it is not known.
func (o *Of) MemberAddress(ctx context.Context, id string) string {
	it := o.lists.at("members")
	it.mutex.Lock()
	all, _ := it.value.(people)
	it.mutex.Unlock()
	if address, found := all.address(id); found {
		return address
	}
	all.members, _, _ = o.KnownMembers(ctx)
	if address, found := all.address(id); found {
		return address
	}
	return id
}

func (p people) address(id string) (string, bool) {
	for _, it := range p.members {
		if it.ID == id {
			return it.Email, true
		}
	}
	return "", false
}

type people struct{ members, invited []Member }

// KnownTokens are those that have not been deleted, as they were since this run last wrote something.
func (o *Of) KnownTokens(ctx context.Context) ([]Token, error) {
	return remembered(o, "tokens", func() ([]Token, error) { return o.Tokens(ctx) })
}

// KnownPolicyTokens are those that have not ended, as they were since this run last wrote something.
func (o *Of) KnownPolicyTokens(ctx context.Context) ([]PolicyToken, error) {
	return remembered(o, "policy tokens", func() ([]PolicyToken, error) { return o.PolicyTokens(ctx) })
}

// KnownMembers are the members, and who was invited, as they were since this run last wrote something.
func (o *Of) KnownMembers(ctx context.Context) (members, invited []Member, err error) {
	all, err := remembered(o, "members", func() (people, error) {
		members, invited, err := o.Members(ctx)
		return people{members, invited}, err
	})
	return all.members, all.invited, err
}

// KnownClusters are the clusters as they were since this run last wrote something.
func (o *Of) KnownClusters(ctx context.Context) ([]Cluster, error) {
	return remembered(o, "clusters", func() ([]Cluster, error) { return o.Clusters(ctx) })
}

// KnownVariables are those of a place as they were since this run last wrote something.
func (o *Of) KnownVariables(ctx context.Context, place Place, secret bool) ([]Variable, error) {
	return remembered(o, place.path(secret), func() ([]Variable, error) { return o.Variables(ctx, place, secret) })
}

// KnownProjects are the projects as they were since this run last wrote something.
func (o *Of) KnownProjects(ctx context.Context) ([]Project, error) {
	return remembered(o, "projects", func() ([]Project, error) { return o.Projects(ctx) })
}

// KnownEnvironments are those of a project as they were since this run last wrote something.
func (o *Of) KnownEnvironments(ctx context.Context, project string) ([]Environment, error) {
	return remembered(o, "environments of "+project, func() ([]Environment, error) { return o.Environments(ctx, project) })
}

// KnownRoles are the roles as they were since this run last wrote something.
func (o *Of) KnownRoles(ctx context.Context) ([]Role, error) {
	return remembered(o, "roles", func() ([]Role, error) { return o.Roles(ctx) })
}

// Named is the project that a name or an id means; false where this token sees none.
func (o *Of) Named(ctx context.Context, project string) (string, bool) {
	all, err := o.KnownProjects(ctx)
	if err != nil {
		return "", false
	}
	for _, it := range all {
		if strings.EqualFold(it.ID, project) || strings.EqualFold(it.Name, project) {
			return it.ID, true
		}
	}
	return "", false
}

// NamedEnvironment is the environment that `PROJECT/NAME` means. Both may have a slash in their names.
func (o *Of) NamedEnvironment(ctx context.Context, named string) (string, bool) {
	all, err := o.KnownProjects(ctx)
	if err != nil {
		return "", false
	}
	for _, project := range all {
		for _, of := range []string{project.Name, project.ID} {
			if len(named) <= len(of) || named[len(of)] != '/' || !strings.EqualFold(named[:len(of)], of) {
				continue
			}
			environments, err := o.KnownEnvironments(ctx, project.ID)
			if err != nil {
				continue
			}
			for _, it := range environments {
				if name := named[len(of)+1:]; strings.EqualFold(it.Name, name) || strings.EqualFold(it.ID, name) {
					return it.ID, true
				}
			}
		}
	}
	return "", false
}
