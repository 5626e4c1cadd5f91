// bench/peers/polars.js: the reconciliation in Polars, lazily and with its streaming engine.
//
//     node polars.js DAY OUT MODE THREADS      (as duckdb.js; threads by POLARS_MAX_THREADS, which run.sh sets)
'use strict';
const pl = require('nodejs-polars');

const [day, out, mode] = process.argv.slice(2);

// All columns are text: amounts must be compared exactly, and Polars would make floats of them.
function side(file, number)
{
    return pl.scanCSV(`${day}/${file}.csv`, { inferSchemaLength: 0 })
        .select('channel_code', 'biz_order_no', 'amount', 'status')
        .withColumn(pl.lit(number).cast(pl.Int32).alias('side'));
}

async function main()
{
    const began = process.hrtime.bigint();
    const all = pl.concat([side('local', 0), side('channel', 1)], { how: 'vertical', rechunk: false, parallel: true })
        .groupBy(['channel_code', 'biz_order_no'])
        .agg(pl.col('side').count().alias('n'), pl.col('side').sum().alias('s'), pl.col('amount').min().alias('la'),
            pl.col('amount').max().alias('ra'), pl.col('status').min().alias('ls'), pl.col('status').max().alias('rs'));
    const classed = all.withColumn(
        pl.when(pl.col('n').gt(2)).then(pl.lit('doubled'))
            .when(pl.col('n').eq(1).and(pl.col('s').eq(0))).then(pl.lit('missing'))
            .when(pl.col('n').eq(1)).then(pl.lit('extra'))
            .when(pl.col('la').eq(pl.col('ra')).and(pl.col('ls').eq(pl.col('rs')))).then(pl.lit('match'))
            .otherwise(pl.lit('mismatch')).alias('class'));
    const wanted = mode === 'all' ? classed : classed.filter(pl.col('class').neq(pl.lit('match')));
    const frame = wanted.select('channel_code', 'biz_order_no', 'la', 'ra', 'ls', 'rs', 'class').collectSync({ engine: 'streaming' });
    frame.writeCSV(`${out}/result.csv`);
    console.log(Number(process.hrtime.bigint() - began) / 1e9);
}

main().catch(e => {
    console.error(String(e));
    process.exit(1);
});
