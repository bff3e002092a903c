/* Plots as SVG, written into a page as they are made: axes, lines, points, bars. */
#ifndef PLOT_H
#define PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct plot {
    FILE *f;
    bool log_x, log_y;
    double x0, x1, y0, y1; /* of the data; above 0 where the axis is logarithmic */
    const char *x_label, *y_label;
};

#define PLOT_COLOURS 8

void plot_text(FILE *f, const char *text); /* < > & and quotes escaped */
/* Opens the picture and draws the axes with their numbers; close ends it. */
void plot_open(const struct plot *p, const char *title);
void plot_close(const struct plot *p);
void plot_line(const struct plot *p, const double *x, const double *y, size_t n, int colour, bool dashed);
void plot_point(const struct plot *p, double x, double y, int colour, const char *tip);
/* A name beside its colour, `place` from the top. */
void plot_name(const struct plot *p, int place, int colour, const char *name);

/* Bars beside their names, one picture; a line at `mark` if it is above 0. */
struct plot_bar {
    char name[160];
    double value;
    int colour;
};
void plot_bars(FILE *f, const char *title, const char *unit, const struct plot_bar *bars, size_t n, double mark,
               const char *mark_name);

#endif
