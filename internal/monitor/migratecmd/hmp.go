package migratecmd

import (
	"goemu/internal/monitor/hmp"
)

// HMP lists the commands for people, and those of info.
func (s *Service) HMP() (commands, info []*hmp.Command) {
	return s.snapshotCommands()
}
