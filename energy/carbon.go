package energy

import (
	"fmt"
	"math"
	"strings"
)

// Factor turns energy into carbon: grams of CO2e per kilowatt-hour of the grid, and the
// energy of the site per energy of its machines (PUE).
type Factor struct {
	Country     string  `json:"country,omitempty"` // ISO 3166-1 alpha-3, empty: the world's mean or set by the user
	Host        string  `json:"host,omitempty"`    // only for this host; empty: all hosts without their own
	GramsPerKWh float64 `json:"g_per_kwh"`         // location-based, lifecycle
	Year        int     `json:"year,omitempty"`    // of the data; 0 if set by the user
	PUE         float64 `json:"pue"`               // 1 or more
	Origin      string  `json:"source"`            // of the data
}

// Licence of the table of grid intensities.
const Licence = "Ember, CC BY-SA 4.0"

// NewFactor returns the factor of a country (three-letter ISO code; empty is the world's
// mean). A positive intensity, in g/kWh, replaces the table's; pue 0 is 1.
func NewFactor(country string, intensity, pue float64) (Factor, error) {
	f := Factor{Country: strings.ToUpper(country), PUE: pue}
	if pue == 0 {
		f.PUE = 1
	}
	if intensity != 0 {
		f.GramsPerKWh, f.Origin = intensity, "given in the configuration"
		return f, f.Validate()
	}
	key := f.Country
	if key == "" {
		key = WorldMean
	}
	grid, ok := grids()[key]
	if !ok {
		return Factor{}, fmt.Errorf("carbon factor: no grid intensity is known for country %q: give it in g/kWh", country)
	}
	f.GramsPerKWh, f.Year, f.Origin = grid.grams, grid.year, Licence
	return f, f.Validate()
}

// Validate reports what is wrong with a factor.
func (f Factor) Validate() error {
	switch {
	case math.IsNaN(f.GramsPerKWh) || f.GramsPerKWh < 0 || f.GramsPerKWh > 1e5:
		return fmt.Errorf("carbon factor: %v g/kWh is no grid intensity", f.GramsPerKWh)
	case math.IsNaN(f.PUE) || f.PUE < 1 || f.PUE > 100:
		return fmt.Errorf("carbon factor: a PUE of %v is below 1 or absurd", f.PUE)
	case f.Origin == "":
		return fmt.Errorf("carbon factor: no source")
	}
	return nil
}

// Grams returns the grams of CO2e for the energy of machines, the site's overhead
// included.
func (f Factor) Grams(microJ int64) float64 {
	return WattHours(microJ) / 1000 * f.PUE * f.GramsPerKWh
}

// WattHours converts microjoules.
func WattHours(microJ int64) float64 { return float64(microJ) / 3.6e9 }

// Joules converts microjoules.
func Joules(microJ int64) float64 { return float64(microJ) / 1e6 }
