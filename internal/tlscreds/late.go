package tlscreds

// Late is an authorizer that is looked up by its identifier when a client comes: it is no mistake to name one that is not there yet.
type Late struct {
	Object func(id string) any
	ID     string
}

// Allowed implements Authorizer.
func (l Late) Allowed(identity string) (bool, error) {
	var x any
	if l.Object != nil {
		x = l.Object(l.ID)
	}
	switch a := x.(type) {
	case nil:
		return false, errorf("Cannot find QAuthZ object ID %s", l.ID)
	case Authorizer:
		return a.Allowed(identity)
	}
	return false, errorf("Object '%s' is not a QAuthZ subclass", l.ID)
}
