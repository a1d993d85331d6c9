package api

import (
	"context"
	"sync"
)

// addresses are the e-mail addresses of members by their ids, for a run that asks for many.
type addresses struct {
	mutex sync.Mutex
	of    map[string]string
}

// MemberAddress is the e-mail address of a member; the id where it is not known. All are read once a run, and again for one who is new.
func (o *Of) MemberAddress(ctx context.Context, id string) string {
	people := &o.people
	people.mutex.Lock()
	defer people.mutex.Unlock()
	if address, known := people.of[id]; known {
		return address
	}
	if members, _, err := o.Members(ctx); err == nil {
		people.of = make(map[string]string, len(members))
		for _, it := range members {
			people.of[it.ID] = it.Email
		}
	}
	if address, known := people.of[id]; known {
		return address
	}
	return id
}
