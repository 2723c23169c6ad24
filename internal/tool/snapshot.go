package tool

import (
	"fmt"
	"time"

	"goemu/block"
)

// SnapshotHeader stands above a list of internal snapshots.
const SnapshotHeader = "ID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT"

// SnapshotLine is the line of a snapshot in such a list.
func SnapshotLine(s *block.Snapshot) string {
	seconds := s.VMClock / uint64(time.Second)
	clock := fmt.Sprintf("%02d:%02d:%02d.%03d", seconds/3600, seconds/60%60, seconds%60, s.VMClock/uint64(time.Millisecond)%1000)
	icount := ""
	if s.ICount >= 0 {
		icount = fmt.Sprint(s.ICount)
	}
	return fmt.Sprintf("%-9s %-16s %8s%20s%13s%11s", s.ID, s.Name, SizeText(s.VMStateSize), s.Date.Local().Format(time.DateTime), clock, icount)
}
