package qapi

import "slices"

// Buckets and factors of the hash function of QEMU's dictionaries (qobject/qdict, from Samba's tdb): the order of members in its JSON
// output follows from them.
const (
	hashBuckets    = 512
	hashSeed       = 0x238f13af
	hashMultiplier = 1103515243
	hashIncrement  = 12345
	hashShiftStep  = 5
	hashShiftLimit = 24
)

// bucket is the place of a name in QEMU's dictionaries.
func bucket(name string) int {
	h := uint32(hashSeed) * uint32(len(name))
	for i := range len(name) {
		h += uint32(name[i]) << (i * hashShiftStep % hashShiftLimit)
	}
	return int((hashMultiplier*h + hashIncrement) % hashBuckets)
}

// dictOrder sorts things with names as QEMU's dictionaries do: given in the order of insertion, of two in one bucket the later comes first.
func dictOrder[T any](list []T, name func(T) string) {
	slices.Reverse(list)
	slices.SortStableFunc(list, func(a, b T) int { return bucket(name(a)) - bucket(name(b)) })
}

// DictOrder sorts the names of members, given in the order of insertion, as QEMU's dictionaries do.
func DictOrder(names []string) []string {
	sorted := slices.Clone(names)
	dictOrder(sorted, func(s string) string { return s })
	return sorted
}
