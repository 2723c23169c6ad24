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
