package energy

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
)

// WorldMean is the name under which the table holds the world's mean.
const WorldMean = "WORLD"

type grid struct {
	grams float64 // CO2e a kWh, lifecycle
	year  int
}

//go:embed grids.txt
var gridsText string

// grids are the intensities of grids.txt by country.
var grids = sync.OnceValue(func() map[string]grid {
	all := map[string]grid{}
	for line := range strings.Lines(gridsText) {
		var country string
		var g grid
		if n, _ := fmt.Sscan(line, &country, &g.grams, &g.year); n == 3 {
			all[country] = g
		}
	}
	return all
})
