package tool

import (
	"goemu/block"
	"goemu/block/img"
)

// HumanInfo writes the description of an image for people.
func (t *Tool) HumanInfo(i *img.Info) {
	disk := "unavailable"
	if i.ActualSize >= 0 {
		disk = SizeText(uint64(i.ActualSize))
	}
	t.Printf("image: %s\nfile format: %s\nvirtual size: %s (%d bytes)\ndisk size: %s\n",
		i.Filename, i.Format, SizeText(uint64(i.VirtualSize)), i.VirtualSize, disk)
	if i.Encrypted {
		t.Printf("encrypted: yes\n")
	}
	if i.ClusterSize != 0 {
		t.Printf("cluster_size: %d\n", i.ClusterSize)
	}
	if i.Dirty {
		t.Printf("cleanly shut down: no\n")
	}
	if i.Backing != "" {
		t.Printf("backing file: %s", i.Backing)
		switch i.FullBacking {
		case "":
			t.Printf(" (cannot determine actual path)")
		case i.Backing:
		default:
			t.Printf(" (actual path: %s)", i.FullBacking)
		}
		t.Printf("\n")
		if i.BackingFormat != "" {
			t.Printf("backing file format: %s\n", i.BackingFormat)
		}
	}
	t.PrintSnapshots(i.Snapshots)
	if i.Specific != nil {
		t.Printf("Format specific information:\n")
		t.HumanMembers(SpecificData(i.Specific), 1)
	}
}

// PrintSnapshots writes the list of snapshots, if there are any.
func (t *Tool) PrintSnapshots(list []block.Snapshot) {
	if len(list) == 0 {
		return
	}
	t.Printf("Snapshot list:\n%s\n", SnapshotHeader)
	for _, s := range list {
		t.Printf("%s\n", SnapshotLine(&s))
	}
}
