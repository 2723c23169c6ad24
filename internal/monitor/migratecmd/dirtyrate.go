package migratecmd

import (
	"context"

	"goemu/internal/monitor/hmp"
	"goemu/migration"
	"goemu/qapi"
)

// CalcDirtyRate implements qapi.MigrationCommands.
func (s *Service) CalcDirtyRate(_ context.Context, a *qapi.CalcDirtyRateArg) error {
	mode := migration.PageSampling
	if a.Mode != nil {
		mode = migration.DirtyRateMode(*a.Mode)
	}
	return s.Engine.MeasureDirtyRate(a.CalcTime, a.SamplePages, mode)
}

// QueryDirtyRate implements qapi.MigrationCommands.
func (s *Service) QueryDirtyRate(context.Context) (*qapi.DirtyRateInfo, error) {
	r := s.Engine.DirtyRate()
	i := &qapi.DirtyRateInfo{Status: qapi.DirtyRateStatus(r.Status), StartTime: r.Began, CalcTime: r.Period, SamplePages: r.SamplePages,
		Mode: qapi.DirtyRateMeasureMode(r.Mode)}
	if i.Status == qapi.DirtyRateStatusMeasured {
		i.DirtyRate = &r.Rate
	}
	return i, nil
}

// dirtyRateCommands are the commands about the dirty rate, and those of info.
func (s *Service) dirtyRateCommands() (commands, info []*hmp.Command) {
	commands = append(commands, &hmp.Command{Name: "calc_dirty_rate", Args: "dirty_ring:-r,dirty_bitmap:-b,second:l,sample_pages_per_GB:l?",
		Params: "[-r] [-b] second [sample_pages_per_GB]", Run: s.hmpCalcDirtyRate,
		Help: "start a round of guest dirty rate measurement (using -r to\n\t\t\t specify dirty ring as the method of calculation and" +
			"\n\t\t\t -b to specify dirty bitmap as method of calculation)"})
	info = append(info, &hmp.Command{Name: "dirty_rate", Help: "show dirty rate information", Run: s.hmpInfoDirtyRate})
	return commands, info
}

func (s *Service) hmpCalcDirtyRate(m *hmp.Monitor, a *hmp.Args) error {
	period, ring, bitmap := a.Int("second"), a.Bool("dirty_ring"), a.Bool("dirty_bitmap")
	mode := migration.PageSampling
	switch {
	case period == 0:
		m.Printf("Incorrect period length specified!\n")
		return nil
	case ring && bitmap:
		m.Printf("Either dirty ring or dirty bitmap can be specified!\n")
		return nil
	case bitmap:
		mode = migration.DirtyBitmap
	case ring:
		mode = migration.DirtyRing
	}
	var samples *int64
	if a.Has("sample_pages_per_GB") {
		samples = ptr(a.Int("sample_pages_per_GB"))
	}
	if err := s.Engine.MeasureDirtyRate(period, samples, mode); err != nil {
		return err
	}
	m.Printf("Starting dirty rate measurement with period %d seconds\n[Please use 'info dirty_rate' to check results]\n", period)
	return nil
}

func (s *Service) hmpInfoDirtyRate(m *hmp.Monitor, _ *hmp.Args) error {
	r := s.Engine.DirtyRate()
	m.Printf("Status: %s\nStart Time: %d (ms)\nSample Pages: %d (per GB)\nPeriod: %d (sec)\nMode: %s\nDirty rate: ", r.Status, r.Began, r.SamplePages, r.Period, r.Mode)
	if qapi.DirtyRateStatus(r.Status) == qapi.DirtyRateStatusMeasured {
		m.Printf("%d (MB/s)\n", r.Rate)
	} else {
		m.Printf("(not ready)\n")
	}
	return nil
}
