# One image with all programs. `docker compose up --build` uses it; any builder will do.
FROM debian:trixie-slim AS build
WORKDIR /src
COPY scripts/deps scripts/deps
RUN scripts/deps --build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN make -j"$(nproc)" && make install DESTDIR=/out
# the packages that hold the libraries which the programs were linked with
RUN ldd /out/usr/local/bin/* | awk '$3 ~ /^\// {print $3}' | sort -u | xargs readlink -f \
 | xargs dpkg -S | cut -d: -f1 | sort -u >/out/packages

FROM debian:trixie-slim
COPY --from=build /out/packages /usr/local/share/rtm/packages
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive xargs apt-get install -y -qq --no-install-recommends ca-certificates tzdata </usr/local/share/rtm/packages >/dev/null \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 744 --home-dir /var/lib/rtm --shell /usr/sbin/nologin rtm \
 && install -d -o rtm -g rtm /var/lib/rtm
COPY --from=build /out/usr/local /usr/local
# what is not on stdin or in a volume is found here: rtm-ctl add templates/hacker-news.json
WORKDIR /usr/local/share/rtm
USER rtm
EXPOSE 7440 7441 7442
CMD ["rtm-ctl", "help"]
