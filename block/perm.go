package block

import "strings"

// Perm is a set of things a user does with an image, or lets others do with it at the same time.
type Perm uint64

// The permissions, in the order of QEMU's image locks: bit n is byte 100+n (in use) and byte 200+n (not shared) of the file.
const (
	PermConsistentRead Perm = 1 << iota
	PermWrite
	PermWriteUnchanged
	PermResize

	// PermAll is every permission.
	PermAll = PermConsistentRead | PermWrite | PermWriteUnchanged | PermResize
)

// permNames are the names of the permissions in messages, by bit number.
var permNames = [...]string{"consistent read", "write", "write unchanged", "resize"}

// PermCount is the number of permissions.
const PermCount = len(permNames)

// PermByName finds a permission by its name in options, such as "consistent-read".
func PermByName(name string) (Perm, bool) {
	for i, n := range permNames {
		if strings.ReplaceAll(n, " ", "-") == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// String names the permissions in the set, separated by commas.
func (p Perm) String() string {
	var names []string
	for i, name := range permNames {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Attacher is a Disk that must be told what its user does with it before it is used. Attach takes the image's locks for the used
// and shared permissions, replacing an earlier set; Detach gives them back.
type Attacher interface {
	Attach(used, shared Perm) error
	Detach()
}

// Attach asks b for permissions; a backend that does not care grants everything.
func Attach(b Disk, used, shared Perm) error {
	if a, ok := b.(Attacher); ok {
		return a.Attach(used, shared)
	}
	return nil
}

// Detach gives the permissions back.
func Detach(b Disk) {
	if a, ok := b.(Attacher); ok {
		a.Detach()
	}
}
