package migration

import (
	"fmt"

	"goemu/internal/config"
)

// NodeAlias is what the bitmaps of a node are called in the stream (block-bitmap-mapping).
type NodeAlias struct {
	Node, Alias string
	Bitmaps     []BitmapAlias
}

// BitmapAlias is what one bitmap is called in the stream. Persistent, if it is set, makes the bitmap that arrives persistent or not, whatever
// it was.
type BitmapAlias struct {
	Name, Alias string
	Transformed bool // the user said so, if only that nothing changes
	Persistent  *bool
}

// persistent tells whether a bitmap that is or is not persistent becomes so. b may be nil.
func (b *BitmapAlias) persistent(is bool) bool {
	if b != nil && b.Persistent != nil {
		return *b.Persistent
	}
	return is
}

// Limits of names, in bytes.
const (
	maxAlias      = 255
	maxNodeName   = 31
	maxBitmapName = 1023
)

// checkAliases refuses names that cannot be, and a mapping that is not one to one, in QEMU's words.
func checkAliases(list []NodeAlias) error {
	for _, check := range []func(*NodeAlias, int, []NodeAlias) error{checkNames, checkSources, checkTargets} {
		for i := range list {
			if err := check(&list[i], i, list); err != nil {
				return fmt.Errorf("Invalid mapping given for block-bitmap-mapping: %w", err)
			}
		}
	}
	return nil
}

func checkNames(n *NodeAlias, _ int, _ []NodeAlias) error {
	switch {
	case !config.WellFormedID(n.Alias):
		return fmt.Errorf("The node alias '%s' is not well-formed", n.Alias)
	case len(n.Alias) > maxAlias:
		return fmt.Errorf("The node alias '%s' is longer than %d bytes", n.Alias, maxAlias)
	case len(n.Node) > maxNodeName:
		return fmt.Errorf("The node name '%s' is longer than %d bytes", n.Node, maxNodeName)
	}
	for _, b := range n.Bitmaps {
		switch {
		case len(b.Alias) > maxAlias:
			return fmt.Errorf("The bitmap alias '%s' is longer than %d bytes", b.Alias, maxAlias)
		case len(b.Name) > maxBitmapName:
			return fmt.Errorf("The bitmap name '%s' is longer than %d bytes", b.Name, maxBitmapName)
		}
	}
	return nil
}

// checkSources refuses a node or a bitmap that has two aliases.
func checkSources(n *NodeAlias, at int, list []NodeAlias) error {
	if findNode(list[:at], n.Node) != nil {
		return fmt.Errorf("The node name '%s' is mapped twice", n.Node)
	}
	for i, b := range n.Bitmaps {
		if findBitmap(n.Bitmaps[:i], b.Name) != nil {
			return fmt.Errorf("The bitmap '%s'/'%s' is mapped twice", n.Node, b.Name)
		}
	}
	return nil
}

// checkTargets refuses an alias of two nodes or bitmaps.
func checkTargets(n *NodeAlias, at int, list []NodeAlias) error {
	if findNodeAlias(list[:at], n.Alias) != nil {
		return fmt.Errorf("The node alias '%s' is used twice", n.Alias)
	}
	for i, b := range n.Bitmaps {
		if findBitmapAlias(n.Bitmaps[:i], b.Alias) != nil {
			return fmt.Errorf("The bitmap alias '%s'/'%s' is used twice", n.Alias, b.Alias)
		}
	}
	return nil
}

// find returns the first element of a list that is meant.
func find[T any](list []T, is func(*T) bool) *T {
	for i := range list {
		if is(&list[i]) {
			return &list[i]
		}
	}
	return nil
}

func findNode(list []NodeAlias, name string) *NodeAlias {
	return find(list, func(n *NodeAlias) bool { return n.Node == name })
}

func findNodeAlias(list []NodeAlias, alias string) *NodeAlias {
	return find(list, func(n *NodeAlias) bool { return n.Alias == alias })
}

func findBitmap(list []BitmapAlias, name string) *BitmapAlias {
	return find(list, func(b *BitmapAlias) bool { return b.Name == name })
}

func findBitmapAlias(list []BitmapAlias, alias string) *BitmapAlias {
	return find(list, func(b *BitmapAlias) bool { return b.Alias == alias })
}
