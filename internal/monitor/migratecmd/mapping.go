package migratecmd

import (
	"goemu/migration"
	"goemu/qapi"
)

// mappingOf reads the parameter block-bitmap-mapping.
func mappingOf(list []*qapi.BitmapMigrationNodeAlias) []migration.NodeAlias {
	out := make([]migration.NodeAlias, 0, len(list))
	for _, n := range list {
		node := migration.NodeAlias{Node: n.NodeName, Alias: n.Alias}
		for _, b := range n.Bitmaps {
			as := migration.BitmapAlias{Name: b.Name, Alias: b.Alias}
			if b.Transform != nil {
				as.Transformed, as.Persistent = true, b.Transform.Persistent
			}
			node.Bitmaps = append(node.Bitmaps, as)
		}
		out = append(out, node)
	}
	return out
}

// mappingInfo shows the parameter block-bitmap-mapping as it was given, nil if it was not.
func mappingInfo(list []migration.NodeAlias) []*qapi.BitmapMigrationNodeAlias {
	if list == nil {
		return nil
	}
	out := make([]*qapi.BitmapMigrationNodeAlias, 0, len(list))
	for _, n := range list {
		node := &qapi.BitmapMigrationNodeAlias{NodeName: n.Node, Alias: n.Alias, Bitmaps: []*qapi.BitmapMigrationBitmapAlias{}}
		for _, b := range n.Bitmaps {
			as := &qapi.BitmapMigrationBitmapAlias{Name: b.Name, Alias: b.Alias}
			if b.Transformed {
				as.Transform = &qapi.BitmapMigrationBitmapAliasTransform{Persistent: b.Persistent}
			}
			node.Bitmaps = append(node.Bitmaps, as)
		}
		out = append(out, node)
	}
	return out
}
