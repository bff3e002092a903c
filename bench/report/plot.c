#include "plot.h"
#include "bn_report.h"
#include <math.h>

/* The drawing area, in the units of the picture. */
enum { LEFT = 70, TOP = 34, WIDTH = 520, HEIGHT = 300, NAMES = 260 };

/* Told apart without red against green. */
static const char *const plot_colours[PLOT_COLOURS] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                        "#56b4e9", "#e69f00", "#7f7f7f", "#8c564b"};

void plot_text(FILE *f, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        case '&': fputs("&amp;", f); break;
        case '"': fputs("&quot;", f); break;
        default: fputc(*text, f);
        }
}

static double plot_share(double v, double from, double to, bool is_log)
{
    if (is_log)
        v = log(v), from = log(from), to = log(to);
    double share = to > from ? (v - from) / (to - from) : 0;
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

static double plot_x(const struct plot *p, double x)
{
    return LEFT + WIDTH * plot_share(x, p->x0, p->x1, p->log_x);
}

static double plot_y(const struct plot *p, double y)
{
    return TOP + HEIGHT * (1 - plot_share(y, p->y0, p->y1, p->log_y));
}

static void plot_tick(const struct plot *p, double v, bool is_y)
{
    char n[32];
    double at = is_y ? plot_y(p, v) : plot_x(p, v);
    double round = fabs(v) >= 1000 ? v / (fabs(v) >= 1e6 ? 1e6 : 1e3) : v;
    snprintf(n, sizeof n, "%.3g%s", round, fabs(v) >= 1e6 ? "M" : fabs(v) >= 1000 ? "k" : "");
    if (is_y)
        fprintf(p->f, "<line class=grid x1=%d x2=%d y1=%.1f y2=%.1f /><text x=%d y=%.1f text-anchor=end>%s</text>\n", LEFT,
                LEFT + WIDTH, at, at, LEFT - 6, at + 4, n);
    else
        fprintf(p->f, "<line class=grid x1=%.1f x2=%.1f y1=%d y2=%d /><text x=%.1f y=%d text-anchor=middle>%s</text>\n", at, at,
                TOP, TOP + HEIGHT, at, TOP + HEIGHT + 16, n);
}

/* Round numbers: powers of ten where the axis is logarithmic, with 2 and 5 between if there is room. */
static void plot_ticks(const struct plot *p, bool is_y)
{
    double from = is_y ? p->y0 : p->x0, to = is_y ? p->y1 : p->x1;
    if (is_y ? p->log_y : p->log_x) {
        bool room = log10(to / from) < 3;
        for (double ten = pow(10, floor(log10(from))); ten <= to; ten *= 10)
            for (int k = 0; k < 3; k++) {
                static const double steps[] = {1, 2, 5};
                double v = ten * steps[k];
                if (v >= from * 0.999 && v <= to * 1.001 && (k == 0 || room))
                    plot_tick(p, v, is_y);
            }
        return;
    }
    double step = pow(10, floor(log10((to - from) / 4)));
    step *= (to - from) / step > 10 ? ((to - from) / step > 20 ? 5 : 2) : 1;
    for (double v = ceil(from / step) * step; v <= to + step * 1e-6; v += step)
        plot_tick(p, v, is_y);
}

void plot_open(const struct plot *p, const char *title)
{
    fprintf(p->f, "<svg viewBox='0 0 %d %d' role=img><text class=title x=%d y=18>", LEFT + WIDTH + NAMES, TOP + HEIGHT + 44, LEFT);
    plot_text(p->f, title);
    fprintf(p->f, "</text>\n");
    plot_ticks(p, false);
    plot_ticks(p, true);
    fprintf(p->f, "<rect class=frame x=%d y=%d width=%d height=%d />\n<text x=%d y=%d text-anchor=middle>", LEFT, TOP, WIDTH, HEIGHT,
            LEFT + WIDTH / 2, TOP + HEIGHT + 36);
    plot_text(p->f, p->x_label);
    fprintf(p->f, "</text><text transform='translate(16 %d) rotate(-90)' text-anchor=middle>", TOP + HEIGHT / 2);
    plot_text(p->f, p->y_label);
    fprintf(p->f, "</text>\n");
}

void plot_close(const struct plot *p)
{
    fprintf(p->f, "</svg>\n");
}

void plot_line(const struct plot *p, const double *x, const double *y, size_t n, int colour, bool dashed)
{
    fprintf(p->f, "<polyline fill=none stroke='%s' stroke-width=2%s points='", plot_colours[colour % PLOT_COLOURS],
            dashed ? " stroke-dasharray='6 4'" : "");
    for (size_t i = 0; i < n; i++)
        fprintf(p->f, "%.1f,%.1f ", plot_x(p, x[i]), plot_y(p, y[i]));
    fprintf(p->f, "' />\n");
}

void plot_point(const struct plot *p, double x, double y, int colour, const char *tip)
{
    fprintf(p->f, "<circle cx=%.1f cy=%.1f r=3.5 fill='%s' fill-opacity=0.75><title>", plot_x(p, x), plot_y(p, y),
            plot_colours[colour % PLOT_COLOURS]);
    plot_text(p->f, tip);
    fprintf(p->f, "</title></circle>\n");
}

void plot_name(const struct plot *p, int place, int colour, const char *name)
{
    int y = TOP + 12 + place * 18;
    fprintf(p->f, "<rect x=%d y=%d width=12 height=12 fill='%s' /><text x=%d y=%d>", LEFT + WIDTH + 14, y - 10,
            plot_colours[colour % PLOT_COLOURS], LEFT + WIDTH + 32, y);
    plot_text(p->f, name);
    fprintf(p->f, "</text>\n");
}

void plot_bars(FILE *f, const char *title, const char *unit, const struct plot_bar *bars, size_t n, double mark,
               const char *mark_name)
{
    enum { NAME = 380, BAR = 380, ROW = 22 };
    double most = mark > 0 ? mark * 1.05 : 0;
    for (size_t i = 0; i < n; i++)
        most = bars[i].value > most ? bars[i].value : most;
    fprintf(f, "<svg viewBox='0 0 %d %d' role=img><text class=title x=8 y=18>", NAME + BAR + 120, (int)n * ROW + 56);
    plot_text(f, title);
    fprintf(f, "</text>\n");
    for (size_t i = 0; i < n; i++) {
        char v[32];
        int y = 30 + (int)i * ROW;
        double width = most > 0 ? BAR * bars[i].value / most : 0;
        fprintf(f, "<text x=%d y=%d text-anchor=end>", NAME - 8, y + 14);
        plot_text(f, bars[i].name);
        fprintf(f, "</text><rect x=%d y=%d width=%.1f height=%d fill='%s' /><text x=%.1f y=%d>%s %s</text>\n", NAME, y + 2, width,
                ROW - 6, plot_colours[bars[i].colour % PLOT_COLOURS], NAME + width + 6, y + 14, bn_number(v, bars[i].value), unit);
    }
    if (mark > 0) {
        double x = NAME + BAR * mark / most;
        fprintf(f, "<line class=mark x1=%.1f x2=%.1f y1=28 y2=%d /><text x=%.1f y=%d text-anchor=middle>", x, x, 32 + (int)n * ROW, x,
                48 + (int)n * ROW);
        plot_text(f, mark_name);
        fprintf(f, "</text>\n");
    }
    fprintf(f, "</svg>\n");
}
